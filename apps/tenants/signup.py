"""A new workspace and its owner."""

import re
import unicodedata
from uuid import uuid4

from django.db import transaction

from .context import tenant_context
from .models import RESERVED_SLUGS, Membership, Tenant, User


@transaction.atomic
def create_workspace(name: str, *, owner: User, slug: str = "") -> Tenant:
    """A workspace with `owner` in it: rows only, no schema. Without `slug` a free one is made from the name."""
    tenant = Tenant(name=name.strip(), slug=slug or free_slug(name))
    tenant.save()
    with tenant_context(tenant):
        Membership.objects.create(user=owner, role=Membership.Role.OWNER)
    return tenant


def free_slug(name: str) -> str:
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    base = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:30].strip("-") or "workspace"
    if base in RESERVED_SLUGS or Tenant.objects.filter(slug=base).exists():
        return f"{base}-{uuid4().hex[:6]}"
    return base
