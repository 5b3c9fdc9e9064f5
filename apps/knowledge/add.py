"""A file arrives: it is checked, recognised if we have it, stored, and queued for ingestion."""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

from django.conf import settings
from django.core.files import File
from django.db import IntegrityError, transaction
from django.db.models import Sum
from django.db.models.fields.files import FieldFile
from kombu.exceptions import OperationalError as BrokerError

from apps.billing import entitlements
from apps.tenants.audit import record
from apps.tenants.models import User

from .models import Document
from .parse import ParseError, sniff
from .tasks import ingest_document

log = logging.getLogger(__name__)

MB = 1_000_000
ACCEPT = ".pdf,.docx,.html,.htm,.md,.txt"


@dataclass(frozen=True, slots=True)
class Notice:
    """What became of one uploaded file, if it isn't simply being read."""

    filename: str
    level: Literal["info", "error"]
    text: str


def add(upload: File, *, user: User | None) -> Document | Notice:
    """Store `upload` and queue it for ingestion on the worker."""
    stored = store(upload, user=user)
    if isinstance(stored, Document):
        queue(stored)
    return stored


def queue(document: Document) -> None:
    """Hand `document` to the workers. If the queue can't be reached it is failed, and can be tried again."""
    try:
        ingest_document.delay(str(document.id))
    except BrokerError:
        log.exception("document %s could not be queued", document.id)
        document.fail("queue", "The file is stored, but can't be read right now.", "Try again in a minute.")


def requeue(document: Document) -> None:
    """Try again what failed or stalled."""
    with transaction.atomic():
        document.requeue()
        record("document.retried", document)
    queue(document)


def store(upload: File, *, user: User | None) -> Document | Notice:
    """Check `upload` and keep it. The same bytes again are recognised, whatever their name."""
    filename = PurePath(upload.name or "file").name[:255]
    if not upload.size:
        return Notice(filename, "error", "This file is empty. Choose another one.")
    if upload.size > settings.MAX_UPLOAD_MB * 1024 * 1024:
        return Notice(filename, "error", f"Larger than {settings.MAX_UPLOAD_MB} MB. Split it, or upload its text.")
    digest = hashlib.sha256()
    for block in upload.chunks():
        digest.update(block)
    upload.seek(0)
    if twin := Document.objects.filter(sha256=digest.hexdigest()).first():
        return Notice(filename, "info", f"Already here as “{twin.title}”: the bytes are the same.")
    try:
        kind = sniff_upload(upload, filename)
    except ParseError as error:
        return Notice(filename, "error", f"{error.message} {error.action}")
    if full := no_room(upload.size):
        return Notice(filename, "error", full)
    document = Document(
        title=PurePath(filename).stem.replace("_", " ").strip() or filename,
        filename=filename,
        kind=kind,
        size_bytes=upload.size,
        sha256=digest.hexdigest(),
        uploaded_by=user,
    )
    document.file.save(filename, upload, save=False)
    try:
        with transaction.atomic():
            document.save(force_insert=True)
            record("document.added", document)
    except IntegrityError:  # the same bytes, uploaded twice at once
        document.file.delete(save=False)
        return Notice(filename, "info", "Already here: the bytes are the same.")
    return document


def no_room(size_bytes: int) -> str:
    """Why the plan takes no further document of that size, as a sentence; empty if it does. What is there stays."""
    documents, storage_mb = entitlements.limit("documents"), entitlements.limit("storage_mb")
    if documents is not None and Document.objects.count() >= documents:
        return (
            f"Your plan holds {documents:,} documents, and they are here. Remove one, or have an owner change the plan."
        )
    if storage_mb is not None:
        stored = Document.objects.aggregate(size=Sum("size_bytes", default=0))["size"]
        if stored + size_bytes > storage_mb * MB:
            return (
                f"Your plan stores {storage_mb:,} MB, and this is beyond. Remove something, or have an owner change it."
            )
    return ""


def sniff_upload(upload: File, filename: str) -> str:
    """The kind of the upload, by its content and name. Raises ParseError."""
    head = upload.read(8192)
    upload.seek(0)
    return sniff(head, filename)


@transaction.atomic
def remove(document: Document) -> None:
    """Delete every trace: the rows (chunks and citations go with the document's), and the file."""
    record("document.removed", document)
    file = document.file
    document.delete()
    transaction.on_commit(lambda: delete_file(file))


def delete_file(file: FieldFile) -> None:
    """The file and the folder that was made for it."""
    folder = Path(file.path).parent
    file.delete(save=False)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
