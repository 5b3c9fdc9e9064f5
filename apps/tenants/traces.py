"""What a tenant has outside the database: keys and queued tasks in Redis, files in the storage.

Every key that is kept for a tenant has its id in its name: `key("reply", ...)` makes one. So one scan finds them all.
"""

import json
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import redis
from django.conf import settings
from django.core.files.storage import Storage, default_storage

from config.celery import HEADER
from config.celery import app as celery

from .context import require_tenant_id

STOP_CHANNEL = "stop"  # a message names a key, or how several begin: whoever works under one stops
ALIVE = ":alive"  # the end of a key that somebody renews who works under the one without it
AT_ONCE = 500
STOPPED_WITHIN_S = 15  # longer than such a key lives


def key(*parts: object) -> str:
    """The name of a key of the active tenant. Raises NoTenant outside a tenant's context."""
    return ":".join([f"tenant:{require_tenant_id()}", *map(str, parts)])


def client() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL)


def stop_work(tenant_id: UUID) -> None:
    """End what is being written for the tenant in any process, and wait until nobody says that they still do."""
    with client() as connection:
        connection.publish(STOP_CHANNEL, f"tenant:{tenant_id}:")
        deadline = time.monotonic() + STOPPED_WITHIN_S
        while time.monotonic() < deadline and any(connection.scan_iter(f"tenant:{tenant_id}:*{ALIVE}", count=1_000)):
            time.sleep(0.1)


def delete_keys(tenant_id: UUID) -> None:
    """Every key with the tenant's id in its name, the cache's among them."""
    with client() as connection:
        names: list[bytes] = []
        for name in connection.scan_iter(f"*{tenant_id}*", count=1_000):
            names.append(name)
            if len(names) == AT_ONCE:
                connection.unlink(*names)
                names.clear()
        if names:
            connection.unlink(*names)


def unqueue(tenant_id: UUID) -> None:
    """Forget the tasks that were published for the tenant: those that wait, and those that workers hold.

    A worker that holds one finishes it, finds its tenant gone and is not asked again.
    """
    with celery.connection_for_write() as connection:
        channel: Any = connection.default_channel
        queues = [channel._q_for_pri(queue, step) for queue in celery.amqp.queues for step in channel.priority_steps]
        with channel.conn_or_acquire() as server:
            for queue in queues:
                for raw in [raw for raw in pages(server, queue) if belongs_to(json.loads(raw), tenant_id)]:
                    server.lrem(queue, 0, raw)
            for tag, raw in server.hscan_iter(channel.unacked_key, count=AT_ONCE):
                if belongs_to(json.loads(raw)[0], tenant_id):
                    server.pipeline().hdel(channel.unacked_key, tag).zrem(channel.unacked_index_key, tag).execute()


def pages(server: Any, queue: str) -> Iterator[bytes]:
    start = 0
    while found := server.lrange(queue, start, start + AT_ONCE - 1):
        yield from found
        start += AT_ONCE


def belongs_to(message: dict[str, Any], tenant_id: UUID) -> bool:
    return message.get("headers", {}).get(HEADER) == str(tenant_id)


def delete_files(tenant_id: UUID, storage: Storage = default_storage) -> None:
    """Everything under the tenant's folder: uploads and exports."""
    delete_folder(storage, str(tenant_id))


def delete_folder(storage: Storage, folder: str) -> None:
    try:
        folders, files = storage.listdir(folder)
    except FileNotFoundError:
        return
    for name in files:
        storage.delete(f"{folder}/{name}")
    for name in folders:
        delete_folder(storage, f"{folder}/{name}")
    storage.delete(folder)  # an object store has no folders, and says nothing
