"""A stored file becomes searchable: parse, chunk, embed, and put its chunks in place in one transaction.

The same document may be ingested twice at once: a queue delivers again what a killed worker held. Each ingestion
therefore has an attempt of its own, written to the document; the latest may write, and an earlier one stops at its next
step. Until the transaction at the end, readers see what was there before.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
from celery.exceptions import SoftTimeLimitExceeded
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from apps.runs.refusals import SwitchedOff

from .chunk import Passage, chunk
from .embed import embed_passages, model_name
from .models import FINISHED, Chunk, Document
from .parse import Parsed, ParseError, parse

log = logging.getLogger(__name__)

# Where the progress bar stands when the text is read; embedding takes it from there to 99.
PARSED_PERCENT = 10
ROWS_AT_ONCE = 500

TOO_SLOW = ("too_slow", "This file took too long to read and index.", "Split it into smaller files and upload those.")
INTERNAL = ("internal", "Something broke on our side while this file was read.", "Try again in a moment.")


class Superseded(Exception):
    """Another attempt has taken over, or the document was deleted."""


def ingest(document_id: UUID) -> None:
    """Make one queued document of the active tenant searchable, or store why it can't be.

    Does nothing for a document that is deleted, ready or failed. Raises OperationalError or InterfaceError when the
    database is away; the document keeps its place and the call may be repeated.
    """
    attempt = uuid4()
    claimed = Document.objects.filter(pk=document_id).exclude(status__in=FINISHED)
    parsing = Document.Status.PARSING
    if not claimed.update(attempt=attempt, status=parsing, progress_percent=0, progressed_at=Now()):
        return
    mine = Document.objects.filter(pk=document_id, attempt=attempt)
    try:
        run(mine)
    except Superseded:
        log.info("document %s: attempt %s was superseded", document_id, attempt)
    except SwitchedOff:
        wait(mine)
    except ParseError as error:
        fail(mine, error.code, error.message, error.action)
    except (OperationalError, InterfaceError):
        raise
    except SoftTimeLimitExceeded:
        fail(mine, *TOO_SLOW)
    except Exception:
        log.exception("document %s could not be ingested", document_id)
        fail(mine, *INTERNAL)


def run(mine: QuerySet[Document]) -> None:
    document = mine.select_related("uploaded_by").defer("text", "page_starts").first()
    if document is None:
        raise Superseded
    parsed = parse(Path(document.file.path), document.kind)
    title = parsed.title or document.title
    passages = chunk(parsed.text, title=title, page_starts=parsed.page_starts)
    report(mine, status=Document.Status.EMBEDDING, progress_percent=PARSED_PERCENT)

    def on_progress(done: int) -> None:
        report(mine, progress_percent=PARSED_PERCENT + done * (99 - PARSED_PERCENT) // len(passages))

    vectors = embed_passages(passages, user=document.uploaded_by, on_progress=on_progress)
    put_in_place(mine, title, parsed, passages, vectors)


def report(mine: QuerySet[Document], **progress: object) -> None:
    """Write how far we are. Raises Superseded if we are no longer the ones to write."""
    if not mine.update(**progress, progressed_at=Now()):
        raise Superseded


@transaction.atomic
def put_in_place(
    mine: QuerySet[Document], title: str, parsed: Parsed, passages: Sequence[Passage], vectors: np.ndarray
) -> None:
    """Replace the document's chunks and text, all or nothing. Raises Superseded."""
    document = mine.select_for_update().only("id").first()
    if document is None:
        raise Superseded
    Chunk.objects.filter(document=document).delete()
    model = model_name()
    Chunk.objects.bulk_create(
        [
            Chunk(
                document=document,
                position=position,
                start=passage.start,
                end=passage.end,
                heading=passage.heading,
                page=passage.page,
                text=passage.text,
                embedding=vector,
                embedding_model=model,
            )
            for position, (passage, vector) in enumerate(zip(passages, vectors, strict=True))
        ],
        batch_size=ROWS_AT_ONCE,
    )
    mine.update(
        title=title[:300],
        text=parsed.text,
        page_starts=parsed.page_starts,
        page_count=len(parsed.page_starts),
        chunk_count=len(passages),
        status=Document.Status.READY,
        progress_percent=100,
        error_code="",
        error_message="",
        error_action="",
    )


def wait(mine: QuerySet[Document]) -> None:
    """Back to the queue's state: it is queued again when indexing is switched on."""
    mine.update(status=Document.Status.QUEUED, progress_percent=0, attempt=None, progressed_at=Now())


def fail(mine: QuerySet[Document], code: str, message: str, action: str) -> None:
    """Store what is wrong and what to do. What an earlier attempt had put in place stays searchable."""
    mine.update(
        status=Document.Status.FAILED,
        progress_percent=0,
        error_code=code,
        error_message=message[:300],
        error_action=action[:300],
    )
