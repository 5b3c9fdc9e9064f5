"""Another master key, or other data keys as well. Each workspace in a transaction of its own, so it can be repeated
after it was interrupted, and does only what is left to do.

Who enters a key meanwhile waits for that workspace's transaction: `seal` takes the same lock.
"""

from dataclasses import dataclass

from django.db import transaction

from apps.tenants.models import DataKey, ProviderKey

from . import masters, sealing
from .sealing import open_sealed


@dataclass(slots=True)
class Counts:
    workspaces: int = 0
    rewrapped: int = 0
    resealed: int = 0
    removed: int = 0

    def __iadd__(self, other: "Counts") -> "Counts":
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self


@transaction.atomic
def rewrap() -> Counts:
    """Wrap the active tenant's data keys with the current master key. What they seal stays as it is."""
    sealing.lock()
    counts = Counts()
    for data_key in DataKey.objects.exclude(master=masters.current().name):
        sealing.wrap(data_key, sealing.unwrap(data_key))
        data_key.save(update_fields=["wrapped", "master"])
        counts.rewrapped += 1
    counts.workspaces = int(counts.rewrapped > 0)
    return counts


@transaction.atomic
def renew() -> Counts:
    """A new data key for the active tenant, everything sealed anew with it, the old ones removed."""
    sealing.lock()
    old = list(DataKey.objects.values_list("pk", flat=True))
    if not old:
        return Counts()
    counts, rows = Counts(workspaces=1), list(ProviderKey.objects.all())
    data_key = sealing.make() if rows else None
    for row in rows:
        assert data_key is not None
        secret = open_sealed(row.sealed, row.data_key_id, row.pk)
        row.sealed, row.data_key = sealing.seal_with(data_key, secret, row.pk), data_key
        row.save(update_fields=["sealed", "data_key"])
        counts.resealed += 1
    counts.removed = DataKey.objects.filter(pk__in=old).delete()[0]
    return counts
