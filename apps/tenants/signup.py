"""A new workspace and its owner."""

import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from django.db import IntegrityError, transaction
from django.dispatch import Signal

from .audit import record
from .context import tenant_context, user_context
from .models import RESERVED_SLUGS, Membership, Tenant, User

workspace_created = Signal()  # sent in its context and transaction; apps above write what it begins with


class SlugTaken(ValueError):
    """Another workspace has this address; says so to whoever wanted it."""

    def __init__(self, slug: str) -> None:
        super().__init__(f"“{slug}” is taken. Choose another address.")


@contextmanager
def slug_may_be_taken(slug: str) -> Iterator[None]:
    """A transaction of its own for what writes a slug. Raises SlugTaken, having written nothing."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        if "slug" not in str(error):
            raise
        raise SlugTaken(slug) from error


def create_workspace(name: str, *, owner: User, slug: str = "") -> Tenant:
    """A workspace with `owner` in it: rows only, no schema. Without `slug` a free one is made from the name.

    Raises SlugTaken, having written nothing.
    """
    name, wanted = name.strip(), slug or slug_from(name)
    try:
        return _create(name, owner, wanted)
    except SlugTaken:
        if slug:
            raise
        return _create(name, owner, f"{wanted}-{uuid4().hex[:6]}")


def _create(name: str, owner: User, slug: str) -> Tenant:
    tenant = Tenant(name=name, slug=slug)
    with slug_may_be_taken(slug), user_context(owner), tenant_context(tenant):  # who signs up isn't signed in yet
        tenant.save(force_insert=True)
        Membership.objects.create(user=owner, role=Membership.Role.OWNER)
        record("workspace.created", tenant)
        workspace_created.send(sender=Tenant)
    return tenant


def slug_from(name: str) -> str:
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:30].strip("-") or "workspace"
    return f"{slug}-{uuid4().hex[:6]}" if slug in RESERVED_SLUGS else slug
