"""The events that end a reply, from what is stored of it."""

from typing import Any

from apps.runs.execute import Fault
from apps.runs.models import Run

from .models import Message
from .passages import citation_json

Event = dict[str, Any]


def ended(message: Message) -> Event:
    """`done` or `error`, as a reader who was there would have got it."""
    if message.status == Message.Status.FAILED:
        return failed(Fault(message.error_code, message.error_message, message.error_action))
    citations = message.citations.select_related("document").defer("document__text", "document__page_starts")
    return done(message.run, message.status, [citation_json(citation) for citation in citations.order_by("number")])


def done(run: Run | None, status: str, citations: list[Event]) -> Event:
    event: Event = {"type": "done", "status": status, "citations": citations}
    if run:
        event |= {
            "usage": {"input_tokens": run.input_tokens, "output_tokens": run.output_tokens},
            "cost_usd": None if run.cost_usd is None else f"{run.cost_usd:f}",
            "model": run.model_answered or run.model,
            "provider": run.provider_answered or run.provider,
            "latency_ms": run.latency_ms,
        }
    return event


def failed(fault: Fault) -> Event:
    return {"type": "error", "code": fault.code, "message": fault.message, "action": fault.action, "resets_at": None}
