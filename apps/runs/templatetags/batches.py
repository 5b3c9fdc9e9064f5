"""Money, time left and bars of rows, as the pages of batches show them."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django import template
from django.utils import timezone

from ..gauges import about
from ..models import Batch, BatchRow

register = template.Library()

BADGES = {"running": "badge-busy", "paused": "badge-busy", "done": "badge-good", "failed": "badge-bad"}
SEGMENTS = ("done", "skipped", "failed", "cancelled", "running")


@register.filter
def usd(amount: Decimal | None) -> str:
    return "–" if amount is None else about(amount)


@register.filter
def badge(each: Batch | BatchRow) -> str:
    """The class of a badge for its status."""
    return BADGES.get(each.status, "")


@register.filter
def time_left(until: datetime) -> str:
    """ "4 minutes"; "less than a minute"."""
    minutes = round((until - timezone.now()).total_seconds() / 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 100:
        return f"{minutes} minute{'s' * (minutes != 1)}"
    hours = round(minutes / 60)
    return f"{hours} hours" if hours < 48 else f"{round(hours / 24)} days"


@register.inclusion_tag("runs/batches/_bar.html")
def rows_bar(total: int, label: str, **counts: int) -> dict[str, Any]:
    """How many of the rows ended, and how. `counts` by status."""
    segments, at = [], 0.0
    for kind in SEGMENTS:
        if width := counts.get(kind, 0) * 100 / max(total, 1):
            segments.append({"kind": kind, "x": f"{at:.2f}", "width": f"{width:.2f}"})
            at += width
    ended = sum(count for kind, count in counts.items() if kind in SEGMENTS and kind != "running")
    parts = [f"{counts[kind]:,} {kind}" for kind in ("failed", "skipped", "cancelled") if counts.get(kind)]
    text = ", ".join([f"{ended:,} of {total:,} rows", *parts])
    return {"segments": segments, "total": total, "ended": ended, "label": label, "text": text}


@register.filter
def cell(value: Any) -> str:
    """A value of an answer as somebody reads it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(cell, value)) or "–"
    return "–" if value in (None, "") else str(value)
