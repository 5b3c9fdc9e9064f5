"""A consumer's messages: those it has taken and not yet acknowledged, and the sign that it lives.

A thread says once a second that it does, however long a task takes. So what a killed worker had is handed out again
after `gone_after_s`, and what a living one has never is.
"""

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from uuid import uuid4

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from .line import Line

log = logging.getLogger(__name__)

TICK_S = 1.0
GONE_AFTER_S = 20.0
TIMEOUT_S = 5.0


class Holder:
    """connect: makes a client that asks once and raises RedisError. Starts its thread when it is told of a queue."""

    def __init__(self, connect: Callable[..., redis.Redis], *, tick_s: float, gone_after_s: float) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self.line = Line(connect(retry=Retry(NoBackoff(), 0), socket_timeout=TIMEOUT_S))
        self.tick_s, self.gone_after_ms = tick_s, round(gone_after_s * 1000)
        self.queues: list[str] = []
        self.tags: set[str] = set()
        self.unsaid: dict[str, Callable[[], object]] = {}  # what Redis, being away, wasn't told
        self.since = time.time()
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    def serve(self, queue: str) -> None:
        if queue not in self.queues:
            self.queues.append(queue)
        if self._thread is None:
            self.tick()
            self._thread = threading.Thread(target=self._keep_ticking, name="fair queue", daemon=True)
            self._thread.start()

    def take(self, queue: str, tenant: str = "", start: float | str = "") -> tuple[str, bytes, int] | None:
        """The next message of the turn as tag, body and how often it was handed out; None if there is none left."""
        with self._lock:  # `tick` gives back what we have and don't know of
            taken = self.line.take(queue, self.name, tenant, start)
            if not taken:
                return None
            tag, body, tries = taken
            self.tags.add(tag.decode())
        return tag.decode(), body, tries

    def acknowledge(self, tag: str) -> None:
        self._say(tag, lambda: self.line.acknowledge(self.name, tag))

    def give_back(self, tag: str, *, is_untried: bool) -> None:
        self._say(tag, lambda: self.line.give_back(self.name, tag, int(is_untried)))

    def _say(self, tag: str, word: Callable[[], object]) -> None:
        """Now, or when Redis is back; meanwhile the message stays ours."""
        try:
            word()
        except (redis.RedisError, OSError):
            self.unsaid[tag] = word
        else:
            self.unsaid.pop(tag, None)
            self.tags.discard(tag)
            self._leave_if_done()

    def tick(self) -> None:
        """Say that we live, and do what is due: `config.fair.scripts.TICK`."""
        says = {"queues": self.queues, "since": self.since}
        ours = self.line.tick(self.name, json.dumps(says), self.gone_after_ms, *self.queues)
        for tag, word in list(self.unsaid.items()):
            self._say(tag, word)
        if self._lock.acquire(blocking=False):
            try:  # taken for us just when the connection broke
                for tag in {tag.decode() for tag in ours} - self.tags:
                    self.line.give_back(self.name, tag, 1)
            finally:
                self._lock.release()

    def close(self) -> None:
        """No more will be taken. It goes on saying that it lives until the last message is settled."""
        self._is_over.set()
        try:
            self._leave_if_done()
        except (redis.RedisError, OSError):
            log.info("the queue's server is away; it will notice that %s has left", self.name)

    def _leave_if_done(self) -> None:
        if self._is_over.is_set() and not self.tags:
            self.line.leave(self.name)

    def _keep_ticking(self) -> None:
        while self.tags or not self._is_over.wait(self.tick_s):
            if self._is_over.is_set():
                time.sleep(self.tick_s)
            try:
                self.tick()
            except (redis.RedisError, OSError):
                log.debug("the queue's server is away", exc_info=True)
