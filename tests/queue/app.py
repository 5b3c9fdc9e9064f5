"""Celery as the application has it, with tasks to try the queue with. `celery -A tests.queue.app worker`."""

import os
import signal
import time
from pathlib import Path

from celery import chord, group

from config.celery import app

FOLDER = "QUEUE_TEST_FOLDER"  # the variable that says where they write what they do
PATIENCE_S = 60


def folder() -> Path:
    return Path(os.environ[FOLDER])


def log(word: str) -> None:
    with (folder() / "log").open("a") as file:
        file.write(f"{word}\n")


@app.task(platform_wide=True)
def say(word: str) -> None:
    log(word)


@app.task(platform_wide=True)
def sit(word: str) -> None:
    """Says that it began, and goes on when there is a file of that name."""
    log(f"{word} began")
    deadline = time.monotonic() + PATIENCE_S
    while not (folder() / word).exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    log(f"{word} ended")


@app.task(platform_wide=True, bind=True, max_retries=2)
def fail_twice(self, word: str) -> None:
    if self.request.retries < 2:
        log(f"{word} failed")
        raise self.retry(countdown=0.2)
    log(word)


@app.task(platform_wide=True)
def give_up(document_id: str) -> None:
    raise ValueError("never")


@app.task(platform_wide=True, ignore_result=False)
def double(number: int) -> int:
    return 2 * number


@app.task(platform_wide=True, ignore_result=False)
def add_up(numbers: list[int]) -> None:
    log(f"sum {sum(numbers)}")


@app.task(platform_wide=True)
def doubles(count: int) -> None:
    chord(group(double.s(number).set(queue="batch") for number in range(count)))(add_up.s().set(queue="batch"))


@app.task(platform_wide=True)
def die_once(word: str) -> None:
    """The process of the pool that runs it is killed, the first time."""
    log(f"{word} tried")
    try:
        (folder() / word).touch(exist_ok=False)
    except FileExistsError:
        log(word)
    else:
        os.kill(os.getpid(), signal.SIGKILL)
