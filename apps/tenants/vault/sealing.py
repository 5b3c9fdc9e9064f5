"""Data keys, one of each workspace at a time, and what they seal.

A data key is unwrapped when it is needed and kept in memory for a few minutes, so that the key service is asked
rarely and a key that was taken away from us soon stops working.
"""

import threading
import time
from uuid import UUID

from apps.tenants.context import require_tenant_id
from apps.tenants.models import DataKey, Tenant

from . import aes, masters
from .masters import Damaged
from .secret import Secret

KEPT_S = 300
_opened: dict[tuple[UUID, UUID], tuple[bytes, float]] = {}
_lock = threading.Lock()


def lock() -> None:
    """Nobody else changes the active tenant's data keys, or what they seal, until the transaction's end."""
    Tenant.objects.select_for_update(no_key=True).only("pk").get(pk=require_tenant_id())


def seal(secret: Secret, row_id: UUID) -> tuple[bytes, DataKey]:
    """`secret` for the row of that id and the active tenant, and the data key to write beside it.

    Call it in the transaction that writes the row. Raises VaultError.
    """
    lock()
    data_key = DataKey.objects.order_by("-created_at", "-id").first() or make()
    return seal_with(data_key, secret, row_id), data_key


def seal_with(data_key: DataKey, secret: Secret, row_id: UUID) -> bytes:
    return aes.encrypt(key_of(data_key.pk), secret.reveal().encode(), bound("secret", row_id))


def open_sealed(sealed: bytes | memoryview, data_key_id: UUID, row_id: UUID) -> Secret:
    """What was sealed for that row of the active tenant. Raises VaultError."""
    try:
        return Secret(aes.decrypt(key_of(data_key_id), bytes(sealed), bound("secret", row_id)).decode())
    except aes.DoesNotOpen:
        raise Damaged("A sealed secret doesn't open: it was changed, or belongs to another row.") from None


def make() -> DataKey:
    """A new data key of the active tenant, wrapped with the current master key."""
    data_key, key = DataKey(), aes.new_key()
    wrap(data_key, key)
    data_key.save(force_insert=True)
    keep(data_key.pk, key)
    return data_key


def wrap(data_key: DataKey, key: bytes) -> None:
    master = masters.current()
    data_key.wrapped, data_key.master = master.wrap(key, bound("data key", data_key.pk)), master.name


def unwrap(data_key: DataKey) -> bytes:
    return masters.named(data_key.master).unwrap(bytes(data_key.wrapped), bound("data key", data_key.pk))


def key_of(data_key_id: UUID) -> bytes:
    """The active tenant's data key itself: from memory, or unwrapped."""
    kept = _opened.get((require_tenant_id(), data_key_id))
    if kept and kept[1] > time.monotonic():
        return kept[0]
    data_key = DataKey.objects.filter(pk=data_key_id).first()
    if data_key is None:
        raise Damaged("The data key of a sealed secret is gone.")
    return keep(data_key_id, unwrap(data_key))


def keep(data_key_id: UUID, key: bytes) -> bytes:
    now = time.monotonic()
    with _lock:
        for place in [place for place, (_, until) in _opened.items() if until <= now]:
            del _opened[place]
        _opened[require_tenant_id(), data_key_id] = key, now + KEPT_S
    return key


def forget() -> None:
    """As if nothing had been opened yet."""
    with _lock:
        _opened.clear()


def bound(kind: str, row_id: UUID) -> bytes:
    """The associated data of what belongs to a row: elsewhere it doesn't open."""
    return f"corbel {kind} {require_tenant_id()} {row_id}".encode()
