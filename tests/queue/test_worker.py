"""Real workers on the fair queues: nothing is lost, and nothing is done twice."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from apps.tenants.models import DeadLetter

from . import app
from .workers import Stage, kill, staged, wait_until

# A consumer that is killed just where a message is neither in the line nor known to it.
DIES = """
import os, signal
from config.fair.transport import Channel, virtual
from tests.queue.app import app

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

{where} = die
app.connection_for_read().SimpleQueue("batch").get(timeout=30)
"""
AFTER_THE_TURN = DIES.format(where="Channel._taken")
AFTER_THE_MESSAGE = DIES.format(where="virtual.Transport._deliver")


pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "platform"])


@pytest.fixture
def stage(transactional_db: None, tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path) as stage:
        yield stage


def test_tasks_are_done_once_though_redis_is_killed_meanwhile(stage: Stage) -> None:
    worker = stage.work()
    stage.publish(app.say, "first", link=app.say.si("then").set(queue="ingest"), queue="interactive")
    stage.publish(app.say, "later", countdown=0.5, queue="batch")
    stage.publish(app.fail_twice, "third time", queue="ingest")
    stage.publish(app.doubles, 10, queue="interactive")
    stage.publish(app.die_once, "survived", queue="batch")
    stage.publish(app.give_up, str(UUID(int=7)), queue="batch")
    stage.wait_for("first", "then", "later", "third time", "survived", "sum 90")
    letters = DeadLetter.unscoped.using("platform")
    wait_until(lambda: letters.exists())
    assert [(each.task, each.args, each.error_message) for each in letters.all()] == [
        ("tests.queue.app.give_up", [str(UUID(int=7))], "never")
    ]
    stage.publish(app.sit, "long", queue="batch")
    stage.publish(app.say, "far", countdown=3_600, queue="batch")
    stage.wait_for("long began")

    stage.server.kill()
    stage.let("long")
    stage.wait_for("long ended")
    stage.server.start()
    stage.publish(app.say, "after", queue="system")
    stage.wait_for("after")
    wait_until(lambda: stage.messages() == 1)  # what is far; the long one was acknowledged late, and not done again

    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert stage.log() == {
        **dict.fromkeys(("first", "then", "later", "third time", "survived", "long began", "long ended", "after"), 1),
        "third time failed": 2,
        "survived tried": 2,
        "sum 90": 1,
    }


def test_what_a_killed_one_had_is_done_by_another_and_once(stage: Stage) -> None:
    for word in ("a", "b"):
        stage.publish(app.sit, word, queue="batch")
    first = stage.work()
    stage.wait_for("a began", "b began")
    kill(first)
    for word in ("c", "d"):
        stage.publish(app.say, word, queue="batch")
    die = [
        subprocess.Popen([sys.executable, "-c", at], **stage.as_worker()) for at in (AFTER_THE_TURN, AFTER_THE_MESSAGE)
    ]
    assert [dead.wait(60) for dead in die] == [-signal.SIGKILL] * 2
    assert stage.messages() == 4

    second = stage.work()
    wait_until(lambda: stage.consumers() == 4)
    stage.silence()
    stage.let("a"), stage.let("b")
    wait_until(lambda: stage.messages() == 0)
    assert stage.log() == {
        **dict.fromkeys(("a began", "b began"), 2),
        **dict.fromkeys(("a ended", "b ended", "c", "d"), 1),
    }

    stage.publish(app.sit, "e", queue="batch")
    stage.wait_for("e began")
    second.send_signal(signal.SIGQUIT)  # no time to finish: it hands back what it runs
    second.wait(30)
    assert (stage.line.size("batch"), stage.line.look("batch")[2]) == (1, [])
