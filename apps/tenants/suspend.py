"""Shutting a workspace for a while, by the platform's operators, and opening it again. Nothing in it is lost."""

from django.db import transaction

from .audit import record
from .context import tenant_context
from .doors import close_doors
from .models import Tenant
from .platform import require_platform

ACTIVE, SUSPENDED = Tenant.Status.ACTIVE, Tenant.Status.SUSPENDED


def suspend(tenant: Tenant) -> bool:
    """Whether it was open until now. Its pages say so from now on, and its open sockets are shut."""
    is_news = move(tenant, ACTIVE, SUSPENDED, "workspace.suspended")
    if is_news:
        close_doors(tenant.id)
    return is_news


def resume(tenant: Tenant) -> bool:
    """Whether it was suspended until now. One that is being deleted stays so."""
    return move(tenant, SUSPENDED, ACTIVE, "workspace.resumed")


def move(tenant: Tenant, before: Tenant.Status, after: Tenant.Status, action: str) -> bool:
    platform = require_platform()
    with transaction.atomic(using=platform), tenant_context(tenant), transaction.atomic():
        is_news = Tenant.objects.using(platform).filter(pk=tenant.pk, status=before).update(status=after) == 1
        if is_news:
            record(action, tenant)
    return is_news
