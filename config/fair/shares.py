"""The queues as people see them: how much waits and for how long, whose it is, who was served, which workers live."""

import json
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from redis import Redis

from config import queues

from .line import Line
from .scripts import KEPT_S, SPAN_MS

HOUR_MS = 3_600_000


@dataclass
class Share:
    """One tenant's part of one queue; `tenant` is its id, or scripts.NOBODY."""

    tenant: str
    waiting: int = 0
    later: int = 0
    running: int = 0
    oldest_s: float = 0.0
    served: int = 0  # in the last hour
    served_s: float = 0.0


@dataclass
class State:
    """One queue now."""

    name: str
    shares: list[Share]

    def total(self, what: str) -> Any:
        return sum(getattr(share, what) for share in self.shares)

    @property
    def oldest_s(self) -> float:
        return max((share.oldest_s for share in self.shares), default=0.0)


@dataclass
class Worker:
    """A consumer that said lately that it lives."""

    name: str
    host: str
    queues: list[str]
    up_s: float
    silent_s: float
    holds: int = field(default=0)


def read(client: Redis) -> list[State]:
    """Every queue, busiest tenant first. Raises RedisError."""
    line, now = Line(client), time.time()
    return [state(line, queue, now) for queue in queues.ALL]


def state(line: Line, queue: str, now: float) -> State:
    shares: dict[str, Share] = {}

    def of(tenant: bytes) -> Share:
        return shares.setdefault(tenant.decode(), Share(tenant.decode()))

    lines, later, running = line.look(queue)
    for tenant, count, first_ms in lines:
        of(tenant).waiting = count
        of(tenant).oldest_s = max(0.0, now - float(first_ms) / 1000) if float(first_ms) else 0.0
    for tenant, count in Counter(later).items():
        of(tenant).later = count
    for tenant, _task, _since in running:
        of(tenant).running += 1
    for tenant, (count, seconds) in served(line.client, queue, now).items():
        of(tenant).served, of(tenant).served_s = count, seconds
    return State(queue, sorted(shares.values(), key=lambda each: (-each.waiting, -each.served_s, each.tenant)))


def served(client: Redis, queue: str, now: float) -> dict[bytes, tuple[int, float]]:
    """What was done in the last hour, and the five minutes before it that are still under way: by tenant, number and
    seconds."""
    newest = int(now * 1000 // SPAN_MS)
    spans = range(newest - HOUR_MS // SPAN_MS, newest + 1)
    with client.pipeline(transaction=False) as pipe:
        for span in spans:
            pipe.hgetall(f"queue:{queue}:served:{span}")
        found = pipe.execute()
    counts: dict[bytes, int] = defaultdict(int)
    seconds: dict[bytes, float] = defaultdict(float)
    for each in found:
        for name, value in each.items():
            kind, _, tenant = name.partition(b":")
            if kind == b"number":
                counts[tenant] += int(value)
            else:
                seconds[tenant] += float(value)
    return {tenant: (count, seconds[tenant]) for tenant, count in counts.items()}


def workers(client: Redis) -> list[Worker]:
    """Those that said lately that they live, by name. Raises RedisError."""
    now = time.time()
    seen: Any = client.zrange("queue:consumers", 0, -1, withscores=True)
    says: Any = client.hgetall("queue:workers")
    found = []
    for name, at_ms in seen:
        said = json.loads(says.get(name, b"{}"))
        host, _, _ = name.decode().rpartition(":")
        found.append(
            Worker(
                name=name.decode(),
                host=host,
                queues=said.get("queues", []),
                up_s=max(0.0, now - said.get("since", now)),
                silent_s=max(0.0, now - at_ms / 1000),
                holds=client.scard(f"queue:held:{name.decode()}"),
            )
        )
    return sorted(found, key=lambda each: each.name)


assert KEPT_S * 1000 >= HOUR_MS + SPAN_MS
