"""Passages and citations as pages and sockets show them. Links need the workspace's script prefix."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.urls import reverse

from apps.knowledge.links import passage_path
from apps.knowledge.search import Hit

from .models import Citation

SNIPPET_CHARS = 280


def passages_json(hits: Sequence[Hit | None]) -> list[dict[str, Any]]:
    return [passage_json(number, hit) for number, hit in enumerate(hits, start=1) if hit]


def passage_json(number: int, hit: Hit) -> dict[str, Any]:
    return {
        "number": number,
        "title": hit.title,
        "heading": hit.heading,
        "page": hit.page,
        "url": passage_path(hit.document_id, hit.chunk_id),
        "snippet": snippet(hit.text),
    }


def citation_json(citation: Citation) -> dict[str, Any]:
    return {
        "number": citation.number,
        "chunk": str(citation.chunk_id),
        "document": str(citation.document_id),
        "title": citation.document.title,
        "heading": citation.heading,
        "page": citation.page,
        "quote": snippet(citation.quote),
        "url": passage_path(citation.document_id, citation.chunk_id),
    }


def conversation_path(conversation_id: UUID) -> str:
    return reverse("chat:conversation", urlconf=settings.WORKSPACE_URLCONF, args=[conversation_id])


def snippet(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SNIPPET_CHARS else line[:SNIPPET_CHARS].rsplit(" ", 1)[0] + "…"
