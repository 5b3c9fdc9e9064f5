"""What a tenant has outside the database: keys and queued tasks in Redis, files in the storage.

Every key that is kept for a tenant has its id in its name: `key("reply", ...)` makes one. So one scan finds them all.
"""

import time
from uuid import UUID

import redis
from django.conf import settings
from django.core.files.storage import Storage, default_storage

from config import queues
from config.fair.line import Line

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
    with client() as connection:
        line = Line(connection)
        for queue in queues.ALL:
            line.forget(queue, str(tenant_id))


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
