"""The queues as the platform's operators see them: how deep and how old, whose, who was served, who works."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_GET
from redis import RedisError

from config.fair import shares
from config.fair.scripts import NOBODY
from config.fair.shares import Share, State, Worker

from .models import DeadLetter, Tenant
from .platform import require_platform
from .traces import client

MOST_SHOWN = 7  # tenants of a queue; the others are one part of its bar
ABOUT = {
    "interactive": "What somebody waits for: mails and exports.",
    "system": "The platform’s own upkeep.",
    "ingest": "Documents that are read and indexed.",
    "batch": "Rows of batches.",
}
# unfold's colours, readable by day and by night; neighbours differ.
TONES = ("primary-600", "primary-300", "base-500", "primary-400", "base-300", "primary-700", "base-400")
REST = "base-600"


@dataclass(frozen=True)
class Part:
    """One tenant's part of a queue: a stretch of its bars, and a line of its table."""

    name: str
    share: Share
    tone: str
    weight: float | None


def pages(site: admin.AdminSite) -> list[URLPattern]:
    return [path("queues/", site.admin_view(queues_page), name="queues")]


@require_GET
@permission_required("tenants.view_deadletter", raise_exception=True)
def queues_page(request: HttpRequest) -> HttpResponse:
    try:
        with client() as redis:
            states, workers = shares.read(redis), shares.workers(redis)
    except RedisError:
        states, workers = [], []
    tenants = named({share.tenant for state in states for share in state.shares})
    letters = DeadLetter.unscoped.using(require_platform())
    context = {
        **admin.site.each_context(request),
        "title": "Queues",
        "is_unknown": not states,
        "queues": [shown(state, tenants) for state in states],
        "workers": workers_table(workers),
        "given_up": letters.count(),
        "unserved": [state.name for state in states if not any(state.name in each.queues for each in workers)],
    }
    return TemplateResponse(request, "admin/queues.html", context)


def named(ids: set[str]) -> dict[str, Tenant]:
    wanted = [UUID(each) for each in ids if each != NOBODY]
    return {str(key): tenant for key, tenant in Tenant.objects.using(require_platform()).in_bulk(wanted).items()}


def shown(state: State, tenants: dict[str, Tenant]) -> dict[str, Any]:
    parts = list(parts_of(state, tenants))
    facts = (
        ("Waiting", state.total("waiting")),
        ("Oldest", in_words(state.oldest_s) if state.total("waiting") else "none"),
        ("Running", state.total("running")),
        ("Put off", state.total("later")),
        ("Served, last hour", state.total("served")),
    )
    return {
        "name": state.name,
        "about": ABOUT[state.name],
        "facts": facts,
        "bars": [bar("Waiting", "waiting", parts), bar("Workers’ time in the last hour", "served_s", parts)],
        "columns": ("Weight", "Waiting", "Oldest", "Running", "Served", "Workers’ time"),
        "lines": [line_of(part, state.total("served_s")) for part in parts],
    }


def parts_of(state: State, tenants: dict[str, Tenant]) -> Iterator[Part]:
    for share, tone in zip(state.shares[:MOST_SHOWN], TONES, strict=False):
        tenant = tenants.get(share.tenant)
        name = "the platform" if share.tenant == NOBODY else tenant.name if tenant else "removed"
        yield Part(name, share, tone, tenant.queue_weight if tenant else None)
    if others := state.shares[MOST_SHOWN:]:
        rest = State(state.name, others)
        sums = {what: rest.total(what) for what in ("waiting", "later", "running", "served", "served_s")}
        yield Part(f"{len(others)} others", Share("", oldest_s=rest.oldest_s, **sums), REST, None)


def bar(title: str, what: str, parts: list[Part]) -> dict[str, Any] | None:
    """A bar's stretches, in percent of it; None if there is nothing to show."""
    whole = sum(getattr(part.share, what) for part in parts)
    if not whole:
        return None
    stretches, start = [], 0.0
    for part in parts:
        width = 100 * getattr(part.share, what) / whole
        stretches.append({"name": part.name, "tone": part.tone, "start": f"{start:.2f}", "width": f"{width:.2f}"})
        start += width
    said = ", ".join(f"{each['name']} {float(each['width']):.0f} %" for each in stretches if float(each["width"]))
    total = in_words(whole) if what == "served_s" else f"{whole:,}"
    return {"title": title, "stretches": stretches, "said": f"{title}: {said}", "total": total}


def line_of(part: Part, served_s: float) -> dict[str, Any]:
    """The same as the bars say, in words."""
    share = part.share
    worked = f"{in_words(share.served_s)} ({100 * share.served_s / served_s:.0f} %)" if share.served_s else ""
    return {
        "name": part.name,
        "tone": part.tone,
        "cells": (
            f"{part.weight:g}" if part.weight else "",
            share.waiting or "",
            in_words(share.oldest_s) if share.waiting else "",
            share.running or "",
            share.served or "",
            worked,
        ),
    }


def workers_table(workers: list[Worker]) -> dict[str, Any] | None:
    rows = [
        [each.host, ", ".join(each.queues), each.holds, in_words(each.up_s), in_words(each.silent_s)]
        for each in workers
    ]
    return {"headers": ["Worker", "Queues", "Has", "Up for", "Last heard of"], "rows": rows} if rows else None


def in_words(seconds: float) -> str:
    """ "12 s", "4 min", "2.5 h", "3 days"."""
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 or not seconds else f"{seconds:.2f} s"
