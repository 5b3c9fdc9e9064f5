"""Documents whose ingestion nobody is working on: their worker was killed, or the queue lost its memory."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone

from apps.tenants import traces
from apps.tenants.context import current_tenant_id, tenant_id_context
from apps.tenants.migrate import silo_ids
from apps.tenants.models import Tenant
from apps.tenants.platform import require_platform
from config.fair.line import Line
from config.fair.scripts import NOBODY
from config.queues import INGEST

from .models import FINISHED, Document
from .tasks import ingest_document

ORPHANED_AFTER = timedelta(minutes=5)


def queue_unfinished(quiet_since: datetime | None = None, but: Collection[UUID] = ()) -> int:
    """Queue every active tenant's unfinished documents again; returns how many. Before the workers start: it takes
    them all.

    quiet_since: only those that nothing was heard of since. but: tenants whose documents are left alone.

    One that is in the queue already is ingested once and found finished the second time.
    """
    waiting = keys(Document.unscoped.using(require_platform()), quiet_since)
    for tenant_id in silo_ids():  # from outside their contexts only the pool is seen
        with tenant_id_context(tenant_id):
            waiting += keys(Document.objects.all(), quiet_since)
    taken = [(document_id, tenant_id) for document_id, tenant_id in waiting if tenant_id not in but]
    for document_id, tenant_id in taken:
        with tenant_id_context(tenant_id):
            ingest_document.delay(str(document_id))
    return len(taken)


def queue_orphans() -> int:
    """Queue unfinished documents of tenants for whom the queue holds nothing at all, any more; returns how many.

    It loses nothing by itself. But who uploads may find it away, or Redis may have been emptied.
    """
    with traces.client() as connection:
        busy = {UUID(tenant) for tenant in Line(connection).busy(INGEST) if tenant != NOBODY}
    return queue_unfinished(timezone.now() - ORPHANED_AFTER, busy)


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


def keys(documents: QuerySet[Document], quiet_since: datetime | None = None) -> list[tuple[Any, UUID]]:
    """The unfinished ones' ids, with their tenants'."""
    if quiet_since:
        documents = documents.filter(progressed_at__lt=quiet_since)
    unfinished = documents.exclude(status__in=FINISHED).filter(tenant__status=Tenant.Status.ACTIVE)
    return list(unfinished.values_list("id", "tenant_id"))
