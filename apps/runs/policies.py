"""Setting how the active workspace's models are called, with a line in its log."""

from decimal import Decimal
from typing import Any

from django.db import transaction

from apps.tenants.audit import record
from apps.tenants.models import Tenant

from .models import Policy


def policy() -> Policy:
    """The workspace's, or the defaults it has while it set nothing else; those are in no row."""
    return Policy.objects.first() or Policy()


def change(**values: Any) -> Policy:
    """Write the values that differ and no other column. In force with the next call."""
    with transaction.atomic():
        Tenant.objects.select_for_update(no_key=True).get(pk=Policy().tenant_id)  # of two first savings, one waits
        current = policy()
        changes = {}
        for name, value in values.items():
            if (before := getattr(current, name)) != value:
                setattr(current, name, value)
                label = str(Policy._meta.get_field(name).verbose_name)  # type: ignore[union-attr]
                changes[label] = {"before": plain(before), "after": plain(value)}
        if changes:
            current.save()
            record("policy.changed", current, **changes)
        return current


def plain(value: Any) -> Any:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else value
