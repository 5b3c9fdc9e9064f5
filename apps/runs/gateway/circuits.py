"""The circuits of `breaker` as an operator sees them, over a Redis client that waits."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast
from urllib.parse import unquote
from uuid import UUID

from redis import Redis

from .breaker import BUCKETS, KEEP_S, Rules, ms
from .circuit_scripts import CLOSE

State = Literal["closed", "open", "half-open"]
Reason = Literal["failures", "wait", "key", "probe", ""]

RULES = Rules()
UUID_ = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
NAME = re.compile(rf"(?:tenant:({UUID_}):circuit:([^:]+):{UUID_}|circuit:([^:]+)):(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Circuit:
    """One circuit as it was a moment ago. `calls` and `failed` are of the window; `reason` is why it opened last.

    Open: nobody is let through for `open_for_s` more. Half-open: the next call is let through, or one is under way
    (`is_probing`).
    """

    name: str
    provider: str
    model: str
    tenant_id: UUID | None = None
    state: State = "closed"
    calls: int = 0
    failed: int = 0
    reason: Reason = ""
    opened_at: datetime | None = None
    open_until: datetime | None = None
    open_for_s: int = 0
    is_probing: bool = False

    @property
    def failed_percent(self) -> int | None:
        return round(100 * self.failed / self.calls) if self.calls else None


def read(redis: Redis, names: Iterable[str], window_s: float = RULES.window_s) -> list[Circuit]:
    """Those circuits, in one round trip; one of which nothing is known is closed. Raises RedisError.

    A name that `circuit_key` doesn't make raises ValueError.
    """
    names = list(names)
    with redis.pipeline(transaction=False) as pipe:
        pipe.time()
        for name in names:
            pipe.hgetall(name)
        (seconds, microseconds), *hashes = pipe.execute()
    now_ms = seconds * 1000 + microseconds // 1000
    return [circuit(name, decoded(fields), now_ms, window_s) for name, fields in zip(names, hashes, strict=True)]


def names(redis: Redis) -> list[str]:
    """Every circuit that was of use within the last hour. Raises RedisError.

    Looks through all keys, which is for an operator's page and no other.
    """
    found = {as_text(name) for name in redis.scan_iter("*circuit:*", count=1_000, _type="HASH")}
    return sorted(name for name in found if NAME.fullmatch(name))


def close(redis: Redis, name: str) -> bool:
    """Let calls through again, whatever happened before; False if it was closed. Raises RedisError.

    How calls end that began before counts no more. Raises ValueError for what is no circuit's name.
    """
    split(name)
    return bool(redis.register_script(CLOSE)(keys=[name], args=[ms(KEEP_S)]))


def split(name: str) -> tuple[str, str, UUID | None]:
    """Provider, model and tenant of a circuit by its name."""
    match = NAME.fullmatch(name)
    if not match:
        raise ValueError(f"No circuit is called {name!r}.")
    tenant, own_provider, provider, model = match.groups()
    return unquote(own_provider or provider), model, UUID(tenant) if tenant else None


def circuit(name: str, fields: dict[str, str], now_ms: int, window_s: float) -> Circuit:
    provider, model, tenant_id = split(name)
    opened = "open_until" in fields
    left_ms = int(fields["open_until"]) - now_ms if opened else 0
    state: State = "open" if left_ms > 0 else "half-open" if opened else "closed"
    ended = list(counts(fields, now_ms, window_s))
    return Circuit(
        name,
        provider,
        model,
        tenant_id,
        state=state,
        calls=sum(n for _, n in ended),
        failed=sum(n for kind, n in ended if kind == "failed"),
        reason=cast(Reason, fields.get("reason", "")),
        opened_at=moment(fields["opened_at"]) if opened else None,
        open_until=moment(fields["open_until"]) if opened else None,
        open_for_s=max(0, -(-left_ms // 1000)),
        is_probing=opened and now_ms < int(fields.get("lease_until", 0)),
    )


def counts(fields: dict[str, str], now_ms: int, window_s: float) -> Iterator[tuple[str, int]]:
    oldest = now_ms // ms(window_s / BUCKETS) - BUCKETS
    for field, n in fields.items():
        kind, _, bucket = field.partition(":")
        if bucket and int(bucket) > oldest:
            yield kind, int(n)


def moment(epoch_ms: str) -> datetime:
    return datetime.fromtimestamp(int(epoch_ms) / 1000, UTC)


def decoded(fields: dict[Any, Any]) -> dict[str, str]:
    return {as_text(name): as_text(value) for name, value in fields.items()}


def as_text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
