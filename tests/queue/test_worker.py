"""Real workers on the fair queues: nothing is lost, nothing is done twice."""

import redis

from tests.queue import app as tasks

from .workers import said, wait_until, working


def test_countdowns_retries_chords_and_callbacks(server: redis.Redis) -> None:
    tasks.say.apply_async(["later"], countdown=0.5, queue="batch")
    tasks.fail_twice.apply_async(["third time"], queue="ingest")
    tasks.doubles(10)
    tasks.say.apply_async(["first"], link=tasks.say.si("then"), queue="interactive")
    with working() as worker:
        words = said(server, 7)
        worker.terminate()
        assert worker.wait(30) == 0

    assert sorted(words) == sorted(["later", "third time", "third time failed", "third time failed", "sum 90", "first", "then"])
