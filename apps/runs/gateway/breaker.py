"""Stops asking what keeps failing: one circuit per (provider, model, account), shared by every process through Redis.

    closed     calls go through and their ends are counted. When enough of the last minute's failed, it opens
    open       nobody is let through, until the cool-off is over
    half-open  one caller at a time is let through, on a lease. If its call ends well the circuit closes, else it
               opens again for twice as long

`enter` before a call and `leave` at its very end, of the stream and not its first byte: one atomic script each, by
Redis's clock. What is well costs next to nothing: a process believes for a tenth of a second that a circuit is closed,
and reports successes as often. While Redis is away every call goes through: a breaker saves time, and no money
depends on it.
"""

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar
from urllib.parse import quote
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from .circuit_scripts import ENTER, LEAVE

T = TypeVar("T")
Verdict = Literal["ok", "failed", "key", "nothing"]
"""How a call ended: well; badly; its key was refused or its money is spent; or in a way that says nothing about the
target (cancelled, our own 4xx, content refused, too long)."""

ANSWERS_WITHIN_S = 0.5
AGAIN_AFTER_S = 1.0
SAY_SO_EVERY_S = 60

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Permit:
    """One call that may be made. `since_ms` is Redis's time at `enter`, `token` the lease of who probes, else empty."""

    circuit: str
    since_ms: int = 0
    token: str = ""


class Circuits(Protocol):
    async def enter(self, circuit: str) -> Permit | None:
        """A permit, which must be given back to `leave`; None if the circuit is open. Never raises, hardly waits."""

    async def leave(self, permit: Permit, verdict: Verdict, retry_after_s: float | None = None) -> None:
        """Say how the call ended. `retry_after_s` is the provider's Retry-After. Never raises, hardly waits."""


@dataclass(frozen=True, slots=True)
class Rules:
    """When circuits open, and for how long. A failed probe doubles `cool_off_s`, up to `longest_cool_off_s`.

    A provider that asks for more than `patience_s` is left alone at once, for as long as it asks, up to
    `longest_wait_s`. `lease_s` is longer than the longest call: whoever probes and dies holds others up that long.
    `hearsay_s` is for how long a process relies on what it knows of a closed circuit, and keeps successes to itself:
    much less than `cool_off_s`, and 0 for never.
    """

    window_s: float = 60
    least_calls: int = 10
    failure_rate: float = 0.5
    cool_off_s: float = 30
    longest_cool_off_s: float = 300
    patience_s: float = 10
    longest_wait_s: float = 600
    lease_s: float = 240
    hearsay_s: float = 0.1


BUCKETS = 6  # of a window
MANY = 10_000
KEEP_S = 3_600  # what is known of a circuit, after it was last of use

OPENED = {
    "failures": "too many of its calls failed",
    "wait": "the provider asks to be left alone",
    "probe": "the call that tried it failed",
}


def circuit_key(provider: str, model: str, tenant_id: UUID | None = None, provider_key_id: UUID | None = None) -> str:
    """A circuit's name, which is its key in Redis: of the platform's account, or of a tenant's own with its key."""
    if tenant_id is None:
        return f"circuit:{quote(provider, safe='')}:{model}"
    if provider_key_id is None:
        raise ValueError("A tenant's circuit is that of one of its keys.")
    return f"tenant:{tenant_id}:circuit:{quote(provider, safe='')}:{provider_key_id}:{model}"


class RedisCircuits:
    """The circuits, over a client of the running event loop."""

    def __init__(self, redis: Redis, rules: Rules | None = None) -> None:
        self._rules = rules or Rules()
        self._enter = redis.register_script(ENTER)
        self._leave = redis.register_script(LEAVE)
        self._closed: dict[str, tuple[float, int]] = {}  # until when we rely on it, and Redis's time when we asked
        self._asking: dict[str, asyncio.Task[Permit | None]] = {}
        self._answered: Counter[str] = Counter()  # calls that ended well, which Redis hasn't been told of
        self._tasks: set[asyncio.Task[Any]] = set()
        self._away_until = 0.0
        self._said_so_at = float("-inf")

    async def enter(self, circuit: str) -> Permit | None:
        known_until, since_ms = self._closed.get(circuit, (0.0, 0))
        if time.monotonic() < known_until:
            return Permit(circuit, since_ms)
        if asking := self._asking.get(circuit):  # for somebody else, who alone gets the lease if there is one
            permit = await asyncio.shield(asking)
            return Permit(circuit, permit.since_ms) if permit and not (permit.token and permit.since_ms) else None
        asking = self._asking[circuit] = self._begin(self._ask_in(circuit))
        asking.add_done_callback(lambda _: self._asking.pop(circuit))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            asking.add_done_callback(self._give_back)
            raise

    async def leave(self, permit: Permit, verdict: Verdict, retry_after_s: float | None = None) -> None:
        if permit.token or verdict in ("failed", "key"):
            self._closed.pop(permit.circuit, None)
            answered = 0 if verdict == "nothing" else self._answered.pop(permit.circuit, 0)
            await asyncio.shield(self._begin(self._tell(permit, verdict, retry_after_s, answered)))
        elif verdict == "ok":
            if not self._answered:
                self._begin(self._report())
            self._answered[permit.circuit] += 1

    async def _ask_in(self, circuit: str) -> Permit | None:
        began, token = time.monotonic(), secrets.token_hex(8)
        answer = await self._ask(self._enter, circuit, [token, ms(self._rules.lease_s), ms(KEEP_S)])
        if answer is None:
            return Permit(circuit, token=token)  # the script may have run, and only its answer been late
        since_ms, state = answer[0], text(answer[1])
        if state == "closed":
            if len(self._closed) >= MANY:
                self._closed.clear()
            self._closed[circuit] = (began + self._rules.hearsay_s, since_ms)
            return Permit(circuit, since_ms)
        return Permit(circuit, since_ms, token) if state == "probe" else None

    def _give_back(self, asking: asyncio.Task[Permit | None]) -> None:
        """Who asked was cancelled meanwhile, and the answer may be a lease."""
        if not asking.cancelled() and (permit := asking.result()) and permit.token:
            self._begin(self._tell(permit, "nothing"))

    async def _report(self) -> None:
        """Also when the event loop ends meanwhile: failures alone would look like a rate of one."""
        try:
            await asyncio.sleep(self._rules.hearsay_s)
        finally:
            told, self._answered = self._answered, Counter()
            for circuit, answered in told.items():
                await self._tell(Permit(circuit), "ok", answered=answered)

    async def _tell(self, permit: Permit, verdict: Verdict, wait_s: float | None = None, answered: int = 0) -> None:
        rules = self._rules
        answer = await self._ask(
            self._leave,
            permit.circuit,
            [
                *(verdict, permit.token, permit.since_ms, ms(min(max(0, wait_s or 0), rules.longest_wait_s))),
                *(ms(rules.window_s / BUCKETS), BUCKETS, rules.least_calls, rules.failure_rate),
                *(ms(rules.cool_off_s), ms(rules.longest_cool_off_s), ms(rules.patience_s), ms(KEEP_S)),
                answered,
            ],
        )
        if answer is not None:
            say(permit.circuit, text(answer[0]), round(answer[1] / 1000), text(answer[2]))

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """As a task of its own, which its caller's cancellation doesn't end."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _ask(self, script: Any, circuit: str, arguments: Sequence[str | float]) -> list[Any] | None:
        """The script's answer; None while Redis is away. Then one caller a second finds out whether it is back."""
        now = time.monotonic()
        if now < self._away_until:
            return None
        if self._away_until:
            self._away_until = now + AGAIN_AFTER_S
        try:
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                answer: list[Any] = await script(keys=[circuit], args=arguments)
        except (RedisError, OSError, TimeoutError) as error:
            self._away_until = time.monotonic() + AGAIN_AFTER_S
            if now - self._said_so_at > SAY_SO_EVERY_S:
                self._said_so_at = now
                log.warning("Redis does not answer (%r). Models that fail are asked all the same.", error)
            return None
        self._away_until = 0.0
        return answer


def say(circuit: str, change: str, for_s: int, reason: str) -> None:
    if change == "closed":
        log.info("%s: closed, it answers again", circuit)
    elif reason == "key":
        log.error("%s: open for %d s, its key was refused or its money is spent. See to the account.", circuit, for_s)
    elif change == "opened":
        log.warning("%s: open for %d s, %s", circuit, for_s, OPENED[reason])


def ms(seconds: float) -> int:
    return round(seconds * 1000)


def text(answer: bytes | str) -> str:
    return answer.decode() if isinstance(answer, bytes) else answer
