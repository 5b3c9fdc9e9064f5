"""What is in the queues."""

import json
from typing import Any

import redis
from django.conf import settings


def messages() -> list[dict[str, Any]]:
    """As Celery wrote them: what waits, what is to wait first, and what a worker has."""
    with redis.Redis.from_url(settings.REDIS_URL) as server:
        bodies = [server.hget(name, "body") for name in server.scan_iter("queue:message:*", count=1_000)]
    return [json.loads(body) for body in bodies if body]
