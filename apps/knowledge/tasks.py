from uuid import UUID

from celery import shared_task

from .ingest import ingest


@shared_task(
    soft_time_limit=800,
    time_limit=850,
    max_retries=20,  # the database is away; the document keeps its place
)
def ingest_document(document_id: str) -> None:
    ingest(UUID(document_id))


@shared_task(platform_wide=True)  # whose, it finds out itself
def queue_orphaned_documents() -> None:
    from .unfinished import queue_orphans

    queue_orphans()
