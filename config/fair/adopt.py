"""Messages that kombu's own transport left in Redis, at an upgrade: they join the fair queues."""

import time
from collections.abc import Iterator
from typing import Any

from kombu.utils.json import loads
from redis import Redis

from config import queues

LISTS = ("celery", *(f"celery\x06\x16{priority}" for priority in (3, 6, 9)))
HELD_FOR_S = 900  # by a worker of then: the time after which that transport handed them out again
QUEUES = {task: queue for queue, tasks in queues.TASKS.items() for task in tasks}


def adopt(client: Redis) -> int:
    """Move what is left, if anything; returns how many. Any number of processes may do it at once."""
    if not client.exists(*LISTS, "unacked"):
        return 0
    from .line import Line

    line, count = Line(client), 0
    for tag, raw in held(client):
        count += line.adopt_held(tag, *place(loads(raw)[0]))
    for name, raw in waiting(client):
        count += line.adopt_waiting(name, raw, *place(loads(raw)))
    return count


def waiting(client: Redis) -> Iterator[tuple[str, Any]]:
    for name in LISTS:
        while found := client.lindex(name, -1):
            yield name, found


def held(client: Redis) -> Iterator[tuple[Any, Any]]:
    tags: Any = client.zrangebyscore("unacked_index", "-inf", time.time() - HELD_FOR_S)
    for tag in tags:
        raw: Any = client.hget("unacked", tag)
        if raw:
            yield tag, raw


def place(message: dict[str, Any]) -> tuple[Any, ...]:
    """What PUT takes of it, in the queue that its task has now."""
    from .transport import entry

    queue = QUEUES.get(message["headers"].get("task", ""), queues.INTERACTIVE)
    message["properties"]["delivery_info"] |= {"exchange": queue, "routing_key": queue}
    return queue, *entry(message)
