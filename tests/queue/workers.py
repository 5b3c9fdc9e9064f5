"""Real workers, and a Redis that can be killed under them, in processes of their own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from config.fair.line import Line
from config.place import _valkey_server
from tests.conftest import ROOT

from .app import FOLDER, app

WORKER = [sys.executable, "-m", "celery", "-A", "tests.queue.app", "worker", "--loglevel", "info"]
OPTIONS = ["--without-mingle", "--without-gossip", "--concurrency", "2"]
PATIENCE_S = 60


class Server:
    """A Redis that writes everything down, on a port of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder = folder
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis.from_url(self.url)
        self.start()

    def start(self) -> None:
        settings = ["--port", str(self.port), "--dir", str(self.folder), "--appendonly", "yes", "--save", ""]
        self.process = subprocess.Popen(
            [str(_valkey_server()), "--bind", "127.0.0.1", *settings], stdout=subprocess.DEVNULL
        )
        wait_until(self.answers)

    def answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Stage:
    """Where workers work: a server, and a folder in which tasks write what they do."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.line = Line(server.client)
        self.connection = app.connection_for_write(server.url)
        self.workers: list[subprocess.Popen[bytes]] = []

    def publish(self, task: Any, *args: Any, **options: Any) -> None:
        task.apply_async(args, connection=self.connection, **options)

    def work(self, *options: str) -> subprocess.Popen[bytes]:
        """A worker that may not be ready yet; messages wait for it. In a group of its own, to be killed as one."""
        worker = subprocess.Popen(
            [*WORKER, *OPTIONS, "--hostname", f"{len(self.workers)}@test", *options], **self.as_worker()
        )
        self.workers.append(worker)
        return worker

    def as_worker(self) -> dict[str, Any]:
        env = {**os.environ, "REDIS_URL": self.server.url, FOLDER: str(self.folder), "LOG_LEVEL": "WARNING"}
        return {"cwd": ROOT, "env": env, "start_new_session": True}

    def let(self, word: str) -> None:
        (self.folder / word).touch()

    def log(self) -> Counter[str]:
        path = self.folder / "log"
        return Counter(path.read_text().splitlines()) if path.exists() else Counter()

    def wait_for(self, *words: str, times: int = 1) -> None:
        wait_until(lambda: all(self.log()[word] >= times for word in words))

    def consumers(self) -> int:
        return self.server.client.zcard("queue:consumers")

    def messages(self) -> int:
        return len(list(self.server.client.scan_iter("queue:message:*")))

    def silence(self) -> None:
        """As if all had been heard of a minute ago: those that live say so within a second."""
        for name in self.server.client.zrange("queue:consumers", 0, -1):
            self.server.client.zincrby("queue:consumers", -60_000, name)
        self.server.client.delete("queue:patience")


def kill(worker: subprocess.Popen[bytes]) -> None:
    """As if the machine's power went: it and its pool, at once."""
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    (folder / "redis").mkdir()
    server = Server(folder / "redis")
    stage = Stage(server, folder)
    try:
        yield stage
    finally:
        for worker in stage.workers:
            if worker.poll() is None:
                kill(worker)
        stage.connection.release()
        server.kill()


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)
