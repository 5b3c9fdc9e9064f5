"""Storing a reply: its words, how it ended, and the passages it cites."""

import re

from django.db import transaction
from django.db.models import Q

from apps.knowledge.models import Document
from apps.knowledge.search import Hit
from apps.runs.execute import Fault
from apps.runs.models import Run

from .events import Event, done, failed
from .interrupted import INTERRUPTED
from .models import Citation, Message
from .passages import citation_json

MARK = re.compile(r"\[(\d{1,2}(?:, ?\d{1,2})*)\]")  # [2], and [1, 3] as some models write


@transaction.atomic
def store_reply(reply: Message, *, run: Run | None, hits: list[Hit], fault: Fault | None) -> Event | None:
    """Write the reply and its citations; returns the event that ends its stream, or None if its conversation is gone.

    A mark cites only a passage that was given, and that still exists: one deleted meanwhile leaves no trace.
    """
    text = run.text if run else ""
    status = Message.Status.OK
    if fault:
        status = Message.Status.FAILED
    elif run and run.status == Run.Status.STOPPED:
        status = Message.Status.STOPPED
    # A reader may have closed it as interrupted, while Redis was away and no heartbeat came through.
    open_or_interrupted = Q(status=Message.Status.STREAMING) | Q(error_code=INTERRUPTED.code)
    stored = Message.objects.filter(open_or_interrupted, pk=reply.pk).update(
        text=text,
        status=status,
        run=run,
        error_code=fault.code if fault else "",
        error_message=fault.message if fault else "",
        error_action=fault.action if fault else "",
    )
    if not stored:
        return None
    # Locked, so that a document can't be deleted between here and the commit.
    existing = Document.objects.select_for_update(no_key=True).defer("text", "page_starts")
    documents = existing.in_bulk({hit.document_id for hit in cited(text, hits)})
    citations = [
        Citation(
            message=reply,
            document=documents[hit.document_id],
            chunk_id=hit.chunk_id,
            number=hits.index(hit) + 1,
            heading=hit.heading,
            page=hit.page,
            quote=hit.text,
        )
        for hit in cited(text, hits)
        if hit.document_id in documents
    ]
    Citation.objects.bulk_create(citations)
    return failed(fault) if fault else done(run, status, [citation_json(citation) for citation in citations])


def cited(text: str, hits: list[Hit]) -> list[Hit]:
    """The passages that `text` marks, in the order of their numbers."""
    numbers = sorted({int(number) for mark in MARK.findall(text) for number in mark.split(",")})
    return [hits[number - 1] for number in numbers if 1 <= number <= len(hits)]
