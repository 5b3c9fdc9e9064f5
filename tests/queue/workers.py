"""Real workers, in processes of their own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis

from tests.conftest import ROOT

WORKER = [sys.executable, "-m", "celery", "-A", "tests.queue.app", "worker", "--loglevel", "info"]
OPTIONS = ["--without-mingle", "--without-gossip", "--concurrency", "2"]
PATIENCE_S = 60


def start(name: str, *options: str, **env: str) -> subprocess.Popen[bytes]:
    """A worker that may not be ready yet; messages wait for it. In a group of its own, to be killed as one."""
    return subprocess.Popen(
        [*WORKER, *OPTIONS, "--hostname", f"{name}@test", *options],
        cwd=ROOT,
        env={**os.environ, "LOG_LEVEL": "WARNING", **env},
        start_new_session=True,
    )


def kill(worker: subprocess.Popen[bytes]) -> None:
    """As if the machine's power went: it and its pool, at once."""
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()


@contextmanager
def working(name: str = "one", *options: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    worker = start(name, *options, **env)
    try:
        yield worker
    finally:
        if worker.poll() is None:
            kill(worker)


def said(server: redis.Redis, count: int) -> list[str]:
    """The first `count` words that tasks said, as soon as there are so many."""
    wait_until(lambda: server.llen("celery:log") >= count)
    return [word.decode() for word in server.lrange("celery:log", 0, -1)]


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)
