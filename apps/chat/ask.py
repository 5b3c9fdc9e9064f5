"""A question is asked: its rows, before anything is answered."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid5

from django.db import transaction
from django.utils import timezone

from apps.tenants import flags
from apps.tenants.models import User

from .models import Conversation, Message

MAX_QUESTION_CHARS = 8_000
TITLE_CHARS = 60


class Refused(Exception):
    """A question that can't be taken, and what to do about it."""

    def __init__(self, code: str, message: str, action: str) -> None:
        super().__init__(message)
        self.code, self.message, self.action = code, message, action


@dataclass(frozen=True, slots=True)
class Asked:
    conversation: Conversation
    question: Message
    reply: Message
    is_new_conversation: bool
    is_repeat: bool


def ask(text: str, *, user: User, client_id: UUID, conversation_id: UUID | None) -> Asked:
    """Store the question and an empty reply. The same `client_id` again returns the same rows. Raises Refused."""
    if off := flags.off_now().get("chat"):
        raise Refused("switched_off", f"{off.label}." + (f" {off.note}" if off.note else ""), off.when_off)
    text = text.replace("\0", "").strip()
    if not text:
        raise Refused("empty", "There is no question in this message.", "Type a question and send it again.")
    if len(text) > MAX_QUESTION_CHARS:
        raise Refused(
            "too_long",
            f"The question has {len(text):,} characters; {MAX_QUESTION_CHARS:,} is the most.",
            "Shorten it, or upload the long part as a document and ask about that.",
        )
    with transaction.atomic():
        conversation = find_or_begin(user, conversation_id, client_id, title=text)
        question, is_first_time = Message.objects.get_or_create(
            conversation=conversation, client_id=client_id, defaults={"role": Message.Role.USER, "text": text}
        )
        if not is_first_time:
            return Asked(conversation, question, question.replies.get(), conversation_id is None, is_repeat=True)
        if conversation.messages.filter(status=Message.Status.STREAMING).exists():
            raise Refused("busy", "The answer before is still being written.", "Wait for it, or stop it, then ask.")
        # Rows of one transaction share the database's clock; the reply comes after its question.
        reply = Message.objects.create(
            conversation=conversation,
            role=Message.Role.ASSISTANT,
            status=Message.Status.STREAMING,
            in_reply_to=question,
            created_at=timezone.now(),
        )
        Message.objects.filter(pk=question.pk).update(created_at=reply.created_at - timedelta(microseconds=1))
        Conversation.objects.filter(pk=conversation.pk).update(updated_at=reply.created_at)
    return Asked(conversation, question, reply, conversation_id is None, is_repeat=False)


def find_or_begin(user: User, conversation_id: UUID | None, client_id: UUID, *, title: str) -> Conversation:
    """The user's own conversation, locked so that questions in it take turns; or a new one.

    A new one is named after its first question, so that the question sent again finds it.
    """
    begun_id = uuid5(user.id, str(client_id))
    if conversation_id is None:
        Conversation.objects.get_or_create(pk=begun_id, defaults={"user": user, "title": short(title)})
    own = Conversation.objects.of(user).select_for_update(of=("self",))
    conversation: Conversation | None = own.filter(pk=conversation_id or begun_id).first()
    if conversation is None:
        raise Refused("no_conversation", "This conversation no longer exists.", "Begin a new one.")
    return conversation


def short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= TITLE_CHARS else line[:TITLE_CHARS].rsplit(" ", 1)[0] + "…"
