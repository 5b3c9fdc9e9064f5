"""The doors of open sockets, and shutting them from anywhere.

A socket is checked when it opens and at each of its frames. But who is removed or signed out may send none and go on
reading. So whoever takes access away calls `close_doors`: it tells every web process over one Redis channel, and each
shuts what it holds. What a process can't have heard while it wasn't listening it makes up for at every subscription,
by checking each door again.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context
from functools import cache
from typing import Any
from uuid import UUID

from django.conf import settings
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, RedisError
from redis.retry import Retry

log = logging.getLogger(__name__)

CHANNEL = "doors"
SHUT_OUT = 4403  # the page says so and doesn't come back by itself
COME_BACK = 1012  # the page connects again at once, and is checked at the door
ANSWERS_WITHIN_S = 1  # Redis; the person who pressed the button waits for it
QUIET_S = 10  # then the listener asks whether the connection lives
LISTEN_AGAIN_S = 1

Event = dict[str, Any]


def close_doors(
    tenant_id: UUID | None = None,
    user_id: UUID | None = None,
    session_key: str | None = None,
    *,
    code: int = SHUT_OUT,
) -> None:
    """Shut every open socket of that workspace, user and session, in all processes. Call it after the commit.

    Blocks for one message to Redis. While Redis is away nothing is shut: a socket then ends at its next frame.
    """
    whose = marks(tenant_id, user_id, session_key)
    if not whose:
        raise ValueError("Name a workspace, a user or a session: all sockets of all of them is nobody's to close.")
    try:
        _publisher().publish(CHANNEL, json.dumps({"whose": whose, "code": code}))
    except (RedisError, OSError) as error:
        log.warning("Redis is away; sockets that lost access end at their next frame: %s", error)


def marks(tenant_id: UUID | None, user_id: UUID | None, session_key: str | None) -> dict[str, str]:
    """What a door is known by. Of the session's key, which would open it, only a digest travels."""
    session = hashlib.sha256(session_key.encode()).hexdigest() if session_key else None
    known = {"tenant": tenant_id, "user": user_id, "session": session}
    return {name: str(value) for name, value in known.items() if value}


class Door:
    """Between a browser's socket and the application behind it, which gets `receive` and `send` of this.

    Once shut, the browser is told so at once and hears nothing more, and the application reads a disconnection.
    A reply that is being written is not stopped: it belongs to the workspace, is paid for and stored.
    """

    def __init__(
        self,
        whose: dict[str, str],
        receive: Callable[[], Awaitable[Event]],
        send: Callable[[Event], Awaitable[None]],
        is_welcome: Callable[[], Awaitable[bool]],
    ) -> None:
        self.whose = whose
        self.is_welcome = is_welcome
        self._receive, self._send = receive, send
        self._shut: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def receive(self) -> Event:
        hearing = asyncio.ensure_future(self._receive())
        either: set[asyncio.Future[Any]] = {hearing, self._shut}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if self._shut.done():
                return {"type": "websocket.disconnect", "code": self._shut.result()}
            return hearing.result()
        finally:
            hearing.cancel()

    async def send(self, event: Event) -> None:
        if self._shut.done():
            return
        if event["type"] == "websocket.close":
            self._shut.set_result(event.get("code", 1000))
        await self._send(event)

    async def shut(self, code: int) -> None:
        if not self._shut.done():
            self._shut.set_result(code)
            with suppress(OSError):  # it left by itself meanwhile
                await self._send({"type": "websocket.close", "code": code})

    async def check(self) -> bool:
        """Whether its user may still be here; shuts it otherwise. Who can't be checked is sent to come back."""
        try:
            code = None if await self.is_welcome() else SHUT_OUT
        except Exception:
            log.exception("an open socket could not be checked")
            code = COME_BACK
        if code:
            await self.shut(code)
        return not self._shut.done()


_held: set[Door] = set()
_shutting: set[asyncio.Task[Any]] = set()
_listener: asyncio.Task[None] | None = None


@contextmanager
def held(door: Door) -> Iterator[None]:
    """While inside, the door can be shut from outside."""
    _held.add(door)
    _listen()
    try:
        yield
    finally:
        _held.discard(door)


def _listen() -> None:
    global _listener
    loop = asyncio.get_running_loop()
    if _listener is None or _listener.done() or _listener.get_loop() is not loop:
        _listener = loop.create_task(_hear(), context=Context())  # it acts for nobody, least of all the first to come


async def stop_listening() -> None:
    if _listener:
        _listener.cancel()
        await asyncio.gather(_listener, return_exceptions=True)


async def _hear() -> None:
    """Until cancelled; a lost connection is made anew."""
    while True:
        try:
            async with AsyncRedis.from_url(settings.REDIS_URL) as redis, redis.pubsub() as subscription:
                await subscription.subscribe(CHANNEL)
                while True:
                    await _heed(await _next(subscription))
        except (RedisError, OSError) as error:
            log.warning("Redis is away: %s", error)
        except Exception:
            log.exception("doors could not be shut")
        await asyncio.sleep(LISTEN_AGAIN_S)


async def _next(subscription: Any) -> Event:
    """The next message. Raises ConnectionError when the connection is dead without having said so."""
    if message := await subscription.get_message(timeout=QUIET_S):
        return message
    await subscription.ping()
    if message := await subscription.get_message(timeout=QUIET_S):
        return message
    raise ConnectionError("The subscription is silent.")


async def _heed(message: Event) -> None:
    if message["type"] == "subscribe":  # at first, and after every loss of the connection, which the client mends
        for door in _held:
            _soon(door.check())
    elif message["type"] == "message":
        said = json.loads(message["data"])
        for door in _held:
            if said["whose"].items() <= door.whose.items():
                _soon(door.shut(said["code"]))


def _soon(work: Any) -> None:
    """In a task of its own: a browser that reads slowly must not keep the others' doors open."""
    task = asyncio.get_running_loop().create_task(work)
    _shutting.add(task)
    task.add_done_callback(_shutting.discard)


@cache
def _publisher() -> Redis:
    wait = {"socket_connect_timeout": ANSWERS_WITHIN_S, "socket_timeout": ANSWERS_WITHIN_S}
    return Redis.from_url(settings.REDIS_URL, retry=Retry(NoBackoff(), 1), **wait)
