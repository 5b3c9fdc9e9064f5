"""Shutting a workspace for a while, by the platform's operators, and opening it again. Nothing in it is lost."""

from django.db import transaction
from django.dispatch import Signal

from .audit import record
from .context import tenant_context
from .doors import close_doors
from .models import Tenant

resumed = Signal()  # sent in the workspace's context; apps above queue what its workers refused

ACTIVE, SUSPENDED = Tenant.Status.ACTIVE, Tenant.Status.SUSPENDED


def suspend(tenant: Tenant) -> bool:
    """Whether it was open until now. Its pages say so from now on, and its open sockets are shut."""
    is_news = set_status(tenant, ACTIVE, SUSPENDED, "workspace.suspended")
    if is_news:
        close_doors(tenant.id)
    return is_news


def resume(tenant: Tenant) -> bool:
    """Whether it was suspended until now. One that is being deleted stays so. Work that was refused is taken up."""
    is_news = set_status(tenant, SUSPENDED, ACTIVE, "workspace.resumed")
    if is_news:
        with tenant_context(tenant):
            resumed.send(sender=Tenant)
    return is_news


def set_status(tenant: Tenant, before: Tenant.Status, after: Tenant.Status, action: str) -> bool:
    with tenant_context(tenant), transaction.atomic():
        is_news = Tenant.objects.filter(pk=tenant.pk, status=before).update(status=after) == 1
        if is_news:
            record(action, tenant)
    return is_news
