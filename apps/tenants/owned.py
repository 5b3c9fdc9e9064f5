"""The base of every model whose rows belong to a tenant."""

import uuid
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Q

from .context import current_tenant_id, require_tenant_id


class TenantManager(models.Manager):  # type: ignore[type-arg]
    """Only the active tenant's rows, by a literal tenant_id; raises NoTenant when there is none.

    Row-level security is the second lock. The literal is the first, and lets Postgres plan well.
    """

    def get_queryset(self) -> models.QuerySet[Any]:
        return super().get_queryset().filter(tenant_id=require_tenant_id())


class TenantOwned(models.Model):
    """UUID key, tenant, scoped manager. `unscoped` leaves the filter to row-level security alone.

    A subclass needs `Isolate` on its table in a migration; a test reads the catalog and fails without it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(
        "tenants.Tenant",
        on_delete=models.CASCADE,
        default=current_tenant_id,
        editable=False,
        related_name="+",
    )

    objects: ClassVar[TenantManager] = TenantManager()
    unscoped: ClassVar[models.Manager[Self]] = models.Manager()

    class Meta:
        abstract = True


class DefaultsManager(models.Manager):  # type: ignore[type-arg]
    """The active tenant's rows and everybody's; raises NoTenant when there is none."""

    def get_queryset(self) -> models.QuerySet[Any]:
        return super().get_queryset().filter(Q(tenant_id=require_tenant_id()) | Q(tenant_id=None))


class TenantOrDefault(models.Model):
    """A row of one tenant, or, without a tenant, of all of them: what an operator set for everybody.

    Tenants read both and write their own. A subclass needs `Isolate(table, readable="tenant_id IS NULL")`.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, null=True, blank=True, related_name="+")

    objects: ClassVar[DefaultsManager] = DefaultsManager()
    unscoped: ClassVar[models.Manager[Self]] = models.Manager()

    class Meta:
        abstract = True
