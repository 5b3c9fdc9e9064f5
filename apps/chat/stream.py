"""A reply under way, as a Redis stream: whoever writes it and whoever reads it may be different processes.

Events are appended in order; a reader begins at any cursor, catches up and follows. A heartbeat key says that the
writer lives: a stream without an end and without a heartbeat belongs to a process that died.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from django.conf import settings
from redis.asyncio import Redis
from redis.exceptions import RedisError

from apps.tenants import traces

log = logging.getLogger(__name__)

START = "0"
COALESCE_S = 0.04  # deltas within this time travel together: hundreds of streams fit one core
BLOCK_MS = 2_000
HEARTBEAT_S = 10
KEEP_S = 60  # after the end the database has it; until then nobody may have told the reader
KEEP_UNENDED_S = 600
LAST = {"done", "error"}

Event = dict[str, Any]

_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Redis] = WeakKeyDictionary()


def redis() -> Redis:
    """This event loop's client."""
    loop = asyncio.get_running_loop()
    if loop not in _clients:
        _clients[loop] = Redis.from_url(settings.REDIS_URL, decode_responses=True, max_connections=2_000)
    return _clients[loop]


def key(reply_id: UUID) -> str:
    return traces.key("reply", reply_id)


@contextmanager
def logged() -> Iterator[None]:
    """A stream is for who reads along; when Redis is away the reply goes on, and is stored."""
    try:
        yield
    except (RedisError, OSError) as error:
        log.warning("Redis is away: %s", error)


class Writer:
    """Appends one reply's events; `async with` flushes at the end and keeps the heartbeat going meanwhile.

    No method raises when Redis is away.
    """

    def __init__(self, reply_id: UUID) -> None:
        self._key = key(reply_id)
        self._pending = ""
        self._lock = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self.has_begun = False
        self.has_restarted = False

    async def open(self) -> None:
        """Make the stream known to live before anybody follows it."""
        with logged():
            await redis().set(self._key + traces.ALIVE, 1, ex=HEARTBEAT_S)

    async def __aenter__(self) -> "Writer":
        self._tasks = [asyncio.create_task(self._flush_often()), asyncio.create_task(self._beat())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.flush()
        with logged():
            async with redis().pipeline(transaction=False) as pipe:
                pipe.expire(self._key, KEEP_S)
                pipe.delete(self._key + traces.ALIVE)
                await pipe.execute()

    async def put(self, type: str, **fields: Any) -> None:
        """Append an event, after the text that was pending."""
        await self.flush()
        await self._append({"type": type, **fields})

    async def delta(self, text: str) -> None:
        """Append text soon; the first at once, so that reading can begin."""
        self._pending += text
        if not self.has_begun:
            self.has_begun = True
            await self.flush()

    async def restart(self) -> None:
        """What was said doesn't count: another answer begins."""
        self._pending, self.has_begun, self.has_restarted = "", False, True
        await self.put("restart")

    async def flush(self) -> None:
        async with self._lock:
            if self._pending:
                text, self._pending = self._pending, ""
                if not await self._append({"type": "delta", "text": text}):
                    self._pending = text + self._pending

    async def _append(self, event: Event) -> bool:
        with logged():
            await redis().xadd(self._key, {"event": json.dumps(event)}, maxlen=20_000, approximate=True)
            return True
        return False

    async def _flush_often(self) -> None:
        while True:
            await asyncio.sleep(COALESCE_S)
            await self.flush()

    async def _beat(self) -> None:
        while True:
            with logged():
                async with redis().pipeline(transaction=False) as pipe:
                    pipe.set(self._key + traces.ALIVE, 1, ex=HEARTBEAT_S)
                    pipe.expire(self._key, KEEP_UNENDED_S)
                    await pipe.execute()
            await asyncio.sleep(HEARTBEAT_S / 3)


async def follow(reply_id: UUID, cursor: str = START) -> AsyncIterator[Event]:
    """Events after `cursor`, each with its own `cursor`, until the last one. Ends early if the writer died."""
    name = key(reply_id)
    while True:
        batches: Any = await redis().xread({name: cursor}, count=500, block=BLOCK_MS)
        for _, entries in batches or []:
            for cursor, fields in entries:
                event = json.loads(fields["event"])
                yield {**event, "cursor": cursor}
                if event["type"] in LAST:
                    return
        if not batches and not await redis().exists(name + traces.ALIVE):
            return


async def said_so_far(reply_id: UUID) -> str:
    """The text of a reply as its stream has it; what is left of one whose process died."""
    entries: Any = await redis().xrange(key(reply_id))
    text = ""
    for _, fields in entries:
        event = json.loads(fields["event"])
        text = "" if event["type"] == "restart" else text + event.get("text", "")
    return text


async def forget(reply_ids: list[UUID]) -> None:
    if reply_ids:
        await redis().delete(
            *[name for reply_id in reply_ids for name in (key(reply_id), key(reply_id) + traces.ALIVE)]
        )
