"""The breaker of this process: it shares what it knows with all others through Redis."""

import asyncio
from weakref import WeakKeyDictionary

from django.conf import settings
from redis.asyncio import Redis

from .gateway.breaker import RedisCircuits

# A client's connections belong to the event loop that opened them.
_circuits: WeakKeyDictionary[asyncio.AbstractEventLoop, RedisCircuits] = WeakKeyDictionary()


def circuits() -> RedisCircuits:
    """Those of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _circuits:
        _circuits[loop] = RedisCircuits(Redis.from_url(settings.REDIS_URL))
    return _circuits[loop]
