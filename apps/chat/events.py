"""The events that end a reply, from what is stored of it."""

from datetime import UTC
from typing import Any

from .marks import notes
from .models import Message
from .passages import citation_json

Event = dict[str, Any]


def ended(message: Message) -> Event:
    """`done` or `error`, as a reader who was there would have got it."""
    if message.status == Message.Status.FAILED:
        return failed(message)
    return done(message)


def done(message: Message) -> Event:
    citations = message.citations.select_related("document").defer("document__text", "document__page_starts")
    event: Event = {
        "type": "done",
        "status": message.status,
        "citations": [citation_json(citation) for citation in citations.order_by("number")],
        "notes": notes(message),
    }
    if run := message.run:
        event |= {
            "usage": {"input_tokens": run.input_tokens, "output_tokens": run.output_tokens},
            "cost_usd": None if run.cost_usd is None else f"{run.cost_usd:f}",
            "saved_usd": f"{run.saved_usd:f}",
            "is_cached": run.is_cached,
            "model": run.model_answered or run.model,
            "provider": run.provider_answered or run.provider,
            "latency_ms": run.latency_ms,
        }
    return event


def failed(message: Message) -> Event:
    resets_at = message.error_resets_at
    return {
        "type": "error",
        "code": message.error_code,
        "message": message.error_message,
        "action": message.error_action,
        "resets_at": resets_at.astimezone(UTC).isoformat() if resets_at else None,
        "notes": notes(message),
    }
