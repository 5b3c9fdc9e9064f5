"""The cache that all processes share: Redis, and each process's own memory while Redis is away.

Signing in rests on it: rate limits are counted there. It must not fail with Redis, so for that time every process
counts for itself, and the limits hold less tightly.
"""

import logging
import time
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partialmethod
from typing import Any

from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache, RedisCacheClient
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, OutOfMemoryError, ReadOnlyError, TimeoutError
from redis.retry import Retry

AWAY = (ConnectionError, TimeoutError, ReadOnlyError, OutOfMemoryError)
AGAIN_AFTER_S = 5.0
TIMEOUT_S = 0.5

log = logging.getLogger(__name__)


@dataclass
class Server:
    """What the clients of one server have in common. Django makes a client for each short-lived thread."""

    pools: dict[int, Any] = field(default_factory=dict)
    away_until: float = 0.0


_servers: defaultdict[tuple[str, ...], Server] = defaultdict(Server)


class Client(RedisCacheClient):
    def __init__(self, servers: list[str], **options: Any) -> None:
        retry = Retry(NoBackoff(), 1)  # a connection that was idle may have been closed meanwhile
        options = {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S, "retry": retry, **options}
        super().__init__(servers, **options)
        self._server = _servers[tuple(servers)]
        self._pools = self._server.pools
        self._memory = LocMemCache("while Redis is away", {"OPTIONS": {"MAX_ENTRIES": 10_000}})

    def _call(self, name: str, *args: Any) -> Any:
        if time.monotonic() >= self._server.away_until:
            try:
                return getattr(super(), name)(*args)
            except AWAY as error:
                log.warning("Redis does not answer (%s). Rate limits are counted by each process for itself.", error)
                self._server.away_until = time.monotonic() + AGAIN_AFTER_S
        return getattr(self._memory, name)(*args)

    add = partialmethod(_call, "add")
    get = partialmethod(_call, "get")
    set = partialmethod(_call, "set")
    touch = partialmethod(_call, "touch")
    delete = partialmethod(_call, "delete")
    has_key = partialmethod(_call, "has_key")
    incr = partialmethod(_call, "incr")
    get_many = partialmethod(_call, "get_many")
    set_many = partialmethod(_call, "set_many")
    delete_many = partialmethod(_call, "delete_many")


class SharedCache(RedisCache):
    def __init__(self, server: str | list[str], params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = Client

    def clear(self) -> None:
        """Removes this cache's own keys. Django would empty the whole database, and the task queue is in it."""
        redis = self._cache.get_client(None, write=True)
        if keys := list(redis.scan_iter(match=f"{self.key_prefix}:*", count=1_000)):
            redis.delete(*keys)
