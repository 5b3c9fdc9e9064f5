"""A queue that nobody else uses, on the tests' own Redis."""

from collections.abc import Iterator

import pytest
import redis
from django.conf import settings

from config.fair.line import Line


@pytest.fixture
def server() -> Iterator[redis.Redis]:
    """Without a message in it, before and after."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        forget_everything(client)
        yield client
        forget_everything(client)


@pytest.fixture
def line(server: redis.Redis) -> Line:
    return Line(server)


def forget_everything(client: redis.Redis) -> None:
    for pattern in ("queue:*", "unacked*", "celery*", "beat:*"):
        if names := list(client.scan_iter(pattern, count=1_000)):
            client.delete(*names)
