"""Documents whose ingestion nobody is working on: their worker was killed, or the queue lost its memory."""

from apps.tenants.context import tenant_context
from apps.tenants.platform import require_platform

from .models import FINISHED, Document
from .tasks import ingest_document


def queue_unfinished() -> int:
    """Queue every tenant's unfinished documents again; returns how many. Before the workers start: it takes them all.

    One that is in the queue already is ingested once and found finished the second time.
    """
    documents = Document.unscoped.using(require_platform()).exclude(status__in=FINISHED).select_related("tenant")
    waiting = list(documents.only("id", "tenant"))
    for document in waiting:
        with tenant_context(document.tenant):
            ingest_document.delay(str(document.id))
    return len(waiting)
