"""Replies without a stream to follow: ended long ago, or left by a process that died."""

from uuid import UUID

from apps.runs.execute import Fault
from apps.tenants.threads import in_thread

from . import stream
from .events import Event, ended
from .marks import PARTIAL
from .models import Message

INTERRUPTED = Fault("interrupted", "The answer was interrupted: the server that wrote it stopped.", "Ask again.")


async def close_interrupted(reply_id: UUID) -> list[Event]:
    """Events that bring a reader to the end of a reply. One that nobody writes any more is closed, with what its
    stream still holds; one that had ended is told from the database."""
    text = await stream.said_so_far(reply_id)
    return await in_thread(_close, reply_id, text)


def _close(reply_id: UUID, text: str) -> list[Event]:
    Message.objects.filter(pk=reply_id, status=Message.Status.STREAMING).update(
        status=Message.Status.FAILED,
        text=text,
        error_code=INTERRUPTED.code,
        error_message=INTERRUPTED.message,
        error_action=INTERRUPTED.action,
        marks=[PARTIAL] if text else [],
    )
    message = Message.objects.select_related("run").filter(pk=reply_id).first()
    return [{"type": "restart"}, {"type": "delta", "text": message.text}, ended(message)] if message else []
