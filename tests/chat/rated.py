"""Answers of the cast's, that cite a handbook and are rated."""

from typing import Any

from django.core.files.base import ContentFile
from django.utils import timezone

from apps.chat.feedback import give
from apps.chat.models import Citation, Conversation, Message
from apps.knowledge.add import store
from apps.knowledge.ingest import ingest
from apps.knowledge.models import Chunk, Document
from apps.prompts.models import PromptVersion
from apps.runs.models import Run
from apps.tenants.context import tenant_context
from apps.tenants.models import Tenant, User

HANDBOOK = (
    "# Handbook\n\n## Leave, by Alice\n\nEverybody at Acme gets 28 days of paid leave a year, on top of public "
    "holidays. Ask Bob at hr@acme.example or 0800 123 4567.\n"
)


def read_handbook(tenant: Tenant) -> None:
    with tenant_context(tenant):
        ingest(store(ContentFile(HANDBOOK.encode(), name="handbook.md"), user=None).id)


def answered(
    tenant: Tenant,
    user: User,
    *,
    question: str = "How many days?",
    text: str = "28 days.",
    rating: int | None = None,
    comment: str = "",
    status: str = "ok",
    created_at: Any = None,
    **run: Any,
) -> Message:
    """An answer to `user`, which cites the handbook's passage if there is one and the text marks it."""
    at = created_at or timezone.now()
    with tenant_context(tenant):
        conversation = Conversation.objects.create(user=user, title="Leave")
        took = {"latency_ms": 900, "cost_usd": "0.0021", "input_tokens": 812, "output_tokens": 96}
        ended = {
            "status": "ok",
            "created_at": at,
            "finished_at": at,
            "prompt_version": PromptVersion.objects.live("answer"),
        }
        made = Run.objects.create(
            **{"user": user, "feature": "chat", "provider": "openai", "model": "gpt-5-mini"} | took | ended | run
        )
        asked = Message.objects.create(conversation=conversation, role="user", text=question, created_at=at)
        said = {
            "conversation": conversation,
            "role": "assistant",
            "text": text,
            "run": made,
            "created_at": at,
            "status": status,
        }
        message = Message.objects.create(**said, in_reply_to=asked)
        if "[1]" in text and (chunk := Chunk.objects.first()):
            Citation.objects.create(
                message=message,
                document=Document.objects.get(pk=chunk.document_id),
                chunk_id=chunk.id,
                number=1,
                heading=chunk.heading,
                quote=chunk.text,
            )
        if rating:
            give(message, made, rating=rating, comment=comment)
        return message
