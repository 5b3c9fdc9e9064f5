"""Documents whose ingestion nobody is working on: their worker was killed, or the queue lost its memory."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from apps.tenants.context import current_tenant_id, tenant_id_context
from apps.tenants.migrate import silo_ids
from apps.tenants.models import Tenant
from apps.tenants.platform import require_platform

from .models import FINISHED, Document
from .tasks import ingest_document


def queue_unfinished() -> int:
    """Queue every active tenant's unfinished documents again; returns how many. Before the workers start: it takes
    them all.

    One that is in the queue already is ingested once and found finished the second time.
    """
    waiting = keys(Document.unscoped.using(require_platform()))
    for tenant_id in silo_ids():  # from outside their contexts only the pool is seen
        with tenant_id_context(tenant_id):
            waiting += keys(Document.objects.all())
    for document_id, tenant_id in waiting:
        with tenant_id_context(tenant_id):
            ingest_document.delay(str(document_id))
    return len(waiting)


def queue_own_unfinished(**_: Any) -> None:
    """The active tenant's alone: it was suspended until now, and workers refused them."""
    for document_id, _tenant_id in keys(Document.objects.all()):
        ingest_document.delay(str(document_id))


def queue_what_waited(**_: Any) -> None:
    """Indexing is switched on again: for the active tenant, or without one for everybody."""
    if current_tenant_id():
        queue_own_unfinished()
    else:
        queue_unfinished()


def keys(documents: QuerySet[Document]) -> list[tuple[Any, UUID]]:
    """The unfinished ones' ids, with their tenants'."""
    unfinished = documents.exclude(status__in=FINISHED).filter(tenant__status=Tenant.Status.ACTIVE)
    return list(unfinished.values_list("id", "tenant_id"))
