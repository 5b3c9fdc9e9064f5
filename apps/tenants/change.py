"""Changing a workspace's own row: what one section of the settings holds, and a line in the log for it."""

from typing import Any

from django.db import transaction

from .audit import record
from .models import Tenant
from .signup import slug_may_be_taken


def change(tenant: Tenant, **values: Any) -> Tenant:
    """Write the values that differ and no other column, so that who saves another section meanwhile loses nothing.

    Returns the workspace as it is now. Raises SlugTaken, having written nothing. Needs the workspace's context.
    """
    with transaction.atomic():
        current: Tenant = Tenant.objects.select_for_update().get(pk=tenant.pk)
        differing = {name: value for name, value in values.items() if getattr(current, name) != value}
        changes = {name: {"before": getattr(current, name), "after": value} for name, value in differing.items()}
        for name, value in differing.items():
            setattr(current, name, value)
        if changes:
            with slug_may_be_taken(current.slug):
                current.save(update_fields=list(differing))
            record("workspace.renamed" if {"name", "slug"} & changes.keys() else "settings.changed", current, **changes)
        return current
