"""Celery as the application has it, with tasks to try the queue with. `celery -A tests.queue.app worker`."""

import os
import signal

import redis
from celery import chord, group
from django.conf import settings

from config.celery import app


def log(word: str, *, key: str = "celery:log") -> None:
    with redis.Redis.from_url(settings.REDIS_URL) as server:
        server.rpush(key, word)


def wait_for(key: str) -> None:
    """Until a test pushes to the list; blocks in the server, at most a minute."""
    with redis.Redis.from_url(settings.REDIS_URL) as server:
        assert server.blpop(key, 60)


@app.task(platform_wide=True)
def say(word: str) -> str:
    log(word)
    return word


@app.task(platform_wide=True)
def sit(word: str) -> None:
    """Says that it began, and goes on when it is let."""
    log(f"{word} began")
    wait_for(f"celery:let:{word}")
    log(f"{word} ended")


@app.task(platform_wide=True, bind=True, max_retries=2)
def fail_twice(self, word: str) -> None:
    if self.request.retries < 2:
        log(f"{word} failed")
        raise self.retry(countdown=0.2)
    log(word)


@app.task(platform_wide=True, ignore_result=False)
def double(number: int) -> int:
    return 2 * number


@app.task(platform_wide=True, ignore_result=False)
def add_up(numbers: list[int]) -> int:
    log(f"sum {sum(numbers)}")
    return sum(numbers)


@app.task(platform_wide=True)
def die(word: str) -> None:
    """The process of the pool that runs it is killed, the first time."""
    log(f"{word} tried")
    with redis.Redis.from_url(settings.REDIS_URL) as server:
        if server.incr("celery:deaths") == 1:
            os.kill(os.getpid(), signal.SIGKILL)


def doubles(count: int) -> None:
    chord(group(double.s(number).set(queue="batch") for number in range(count)))(add_up.s().set(queue="batch"))


