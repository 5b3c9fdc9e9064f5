"""A workspace's own accounts with providers: entered, replaced, switched, removed; opened where they are used.

    add(ProviderKey(name="ours", ...), secret)    written sealed; whoever calls it has tried the key before
    open_key(provider_key) -> str                 what an SDK is given in the key's place
    guarded_client()                              what puts the key there, and the only client that has it

The key itself is in no row, no log and no variable of an SDK: see `apps.tenants.vault` and `apps.tenants.outbound`.
"""

import re
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from .audit import record
from .context import current_scope, require_tenant_id, tenant_id_context
from .models import ProviderKey
from .outbound import StandIn, guarded_client
from .threads import in_thread
from .vault import Secret, open_sealed, seal

__all__ = ["BadKey", "NameTaken", "add", "guarded_client", "open_key", "remove", "replace", "switch", "tried"]

MOST_PER_WORKSPACE = 20
KEY = re.compile(r"[\x21-\x7e]{1,500}")  # what an HTTP header can hold
RESERVED = {"offline", "local"}  # what answers and indexes without a provider


class BadKey(ValueError):
    """A sentence for the person who entered it."""


class NameTaken(ValueError):
    pass


def clean_key(text: str) -> Secret:
    """Raises BadKey for what can't be a key."""
    text = text.strip()
    if not KEY.fullmatch(text):
        raise BadKey("A key is one word of letters, digits and signs. Copy it anew from the provider’s page.")
    return Secret(text)


def open_key(provider_key: ProviderKey) -> str:
    """A word to give to an SDK together with `guarded_client`, which opens the key when it first sends something.

    Nothing is asked of the database or of a key service here, so an event loop may call it.
    """
    tenant_id = provider_key.tenant_id
    assert tenant_id is not None
    sealed, data_key_id, row_id = bytes(provider_key.sealed), provider_key.data_key_id, provider_key.pk

    async def opened() -> Secret:
        with tenant_id_context(tenant_id):
            return await in_thread(open_sealed, sealed, data_key_id, row_id)

    return StandIn(opened)


def reveal(provider_key: ProviderKey) -> Secret:
    """The key of the active tenant's account. Blocks. Raises VaultError."""
    return open_sealed(provider_key.sealed, provider_key.data_key_id, provider_key.pk)


def add(provider_key: ProviderKey, secret: Secret) -> ProviderKey:
    """Write a new account of the active tenant. Raises NameTaken, BadKey and VaultError, having written nothing."""
    with transaction.atomic():
        write_key(provider_key, secret)
        if ProviderKey.objects.count() >= MOST_PER_WORKSPACE:
            raise BadKey(f"A workspace has at most {MOST_PER_WORKSPACE} keys. Remove one that isn’t used.")
        provider_key.tenant_id, provider_key.created_by_id = require_tenant_id(), current_scope().user_id
        try:
            with transaction.atomic():
                provider_key.save(force_insert=True)
        except IntegrityError as error:
            if "provider_key_name" not in str(error):
                raise
            raise NameTaken(provider_key.name) from None
        record("provider_key.added", provider_key, kind=provider_key.get_kind_display(), last_four=secret.last_four)
    return provider_key


@transaction.atomic
def replace(provider_key: ProviderKey, secret: Secret) -> None:
    """Another key of the same account. Raises VaultError."""
    before = provider_key.last_four
    write_key(provider_key, secret)
    provider_key.save(update_fields=["sealed", "data_key", "last_four", "tested_at", "last_error"])
    changed = {"before": before, "after": provider_key.last_four}
    record("provider_key.replaced", provider_key, last_four=changed)


def write_key(provider_key: ProviderKey, secret: Secret) -> None:
    provider_key.sealed, provider_key.data_key = seal(secret, provider_key.pk)
    provider_key.last_four = secret.last_four
    provider_key.tested_at, provider_key.last_error = timezone.now(), ""


@transaction.atomic
def tried(provider_key: ProviderKey, fault: str) -> None:
    """Write what came of trying the key again: a sentence, or nothing if it works."""
    provider_key.tested_at, provider_key.last_error = timezone.now(), fault[:300]
    provider_key.save(update_fields=["tested_at", "last_error"])
    record("provider_key.tested", provider_key, result=fault or "it works")


@transaction.atomic
def settle(provider_key: ProviderKey, **values: Any) -> None:
    """Write which models it is used for, and what they cost."""
    changes = {
        name: {"before": plain(getattr(provider_key, name)), "after": plain(value)}
        for name, value in values.items()
        if getattr(provider_key, name) != value
    }
    if changes:
        for name in changes:
            setattr(provider_key, name, values[name])
        provider_key.save(update_fields=list(changes))
        record("provider_key.changed", provider_key, **changes)


def plain(value: Any) -> Any:
    return value if isinstance(value, list | None) else str(value)


@transaction.atomic
def switch(provider_key: ProviderKey, *, is_on: bool) -> None:
    if provider_key.is_on != is_on:
        provider_key.is_on = is_on
        provider_key.save(update_fields=["is_on"])
        record("provider_key.switched", provider_key, state="on" if is_on else "off")


@transaction.atomic
def remove(provider_key: ProviderKey) -> None:
    """The key is gone at once; what was called with it stays in the log of calls."""
    record("provider_key.removed", provider_key, last_four=provider_key.last_four)
    provider_key.delete()
