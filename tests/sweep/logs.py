"""What is logged while the sweep runs, searched for what a log must not hold."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.sessions.models import Session

from tests.conftest import PASSWORD

from .planting import WORD
from .world import World


class Listener(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@contextmanager
def watched(world: World, logger: logging.Logger | None = None) -> Iterator[list[str]]:
    """A list that holds, at the end, each logged line with a tenant's text, a password or a session's key in it."""
    listener, found = Listener(), []
    logger = logger or logging.getLogger()
    level = logger.level
    logger.addHandler(listener)
    logger.setLevel(logging.INFO)
    try:
        yield found
    finally:
        logger.removeHandler(listener)
        logger.setLevel(level)
    secrets = [f"-{WORD}-", PASSWORD, *Session.objects.values_list("pk", flat=True)]
    found += [line for line in listener.lines if any(secret in line for secret in secrets)]
