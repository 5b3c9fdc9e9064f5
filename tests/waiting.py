"""What waits in the queues."""

import json
from typing import Any

import redis
from django.conf import settings

from config import queues


def waiting() -> list[dict[str, Any]]:
    """The messages, as Celery wrote them."""
    with redis.Redis.from_url(settings.REDIS_URL) as server:
        return [json.loads(raw) for queue in queues.ALL for raw in server.lrange(queue, 0, -1)]
