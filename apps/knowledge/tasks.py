from uuid import UUID

from celery import shared_task
from django.db import InterfaceError, OperationalError

from .ingest import ingest


@shared_task(
    acks_late=True,
    soft_time_limit=800,  # below the queue's visibility timeout, so that nobody else begins the same
    time_limit=850,
    autoretry_for=(OperationalError, InterfaceError),  # the database is away; the document keeps its place
    retry_backoff=True,
    retry_backoff_max=60,
    max_retries=20,
    ignore_result=True,
)
def ingest_document(document_id: str) -> None:
    ingest(UUID(document_id))
