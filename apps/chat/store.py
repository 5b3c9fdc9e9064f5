"""Storing a reply: its words, how it ended, and the passages it cites."""

from collections.abc import Sequence

from django.db import transaction
from django.db.models import Q

from apps.knowledge.models import Document
from apps.knowledge.search import Hit
from apps.runs.execute import Fault
from apps.runs.models import Run

from .citing import cited
from .events import Event, ended
from .interrupted import INTERRUPTED
from .marks import marks_of
from .models import Citation, Message


@transaction.atomic
def store_reply(
    reply: Message, *, run: Run | None, hits: Sequence[Hit | None], fault: Fault | None, has_restarted: bool = False
) -> Event | None:
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
    written = {
        "text": text,
        "status": status,
        "run": run,
        "error_code": fault.code if fault else "",
        "error_message": fault.message[:300] if fault else "",
        "error_action": fault.action[:300] if fault else "",
        "error_resets_at": fault.resets_at if fault else None,
        "marks": marks_of(run, has_restarted=has_restarted),
        "answers": run.cached_answer.question if run and run.cached_answer else "",
    }
    if not Message.objects.filter(open_or_interrupted, pk=reply.pk).update(**written):
        return None
    for name, value in written.items():
        setattr(reply, name, value)
    numbered = cited(text, hits)
    # Locked, so that a document can't be deleted between here and the commit.
    existing = Document.objects.select_for_update(no_key=True).defer("text", "page_starts")
    documents = existing.in_bulk({hit.document_id for hit in numbered.values()})
    Citation.objects.bulk_create(
        Citation(
            message=reply,
            document=documents[hit.document_id],
            chunk_id=hit.chunk_id,
            number=number,
            heading=hit.heading,
            page=hit.page,
            quote=hit.text,
        )
        for number, hit in numbered.items()
        if hit.document_id in documents
    )
    return ended(reply)
