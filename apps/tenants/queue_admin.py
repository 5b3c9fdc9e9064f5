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
from django.utils.html import format_html
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
TONES = (
    *("bg-primary-600 dark:bg-primary-500", "bg-primary-300 dark:bg-primary-200"),
    *("bg-primary-800 dark:bg-primary-700", "bg-primary-400 dark:bg-primary-300"),
    *("bg-base-500 dark:bg-base-400", "bg-base-300 dark:bg-base-600"),
    "bg-base-700 dark:bg-base-300",
)
REST = "bg-base-400 dark:bg-base-500"


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
        "table": table(parts),
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
    """What unfold's progress bar takes; None if there is nothing to show."""
    whole = sum(getattr(part.share, what) for part in parts)
    if not whole:
        return None
    percents = [(part, 100 * getattr(part.share, what) / whole) for part in parts]
    stretches = [
        {"title": part.name, "value": f"{percent:.1f}", "progress_class": part.tone}
        for part, percent in percents
        if percent
    ]
    return {"title": title, "items": stretches, "total": in_words(whole) if what == "served_s" else whole}


def table(parts: list[Part]) -> dict[str, Any] | None:
    """What unfold's table takes: the same as the bars, in words. None if there is nothing to show."""
    whole = sum(part.share.served_s for part in parts)
    rows = [
        [
            format_html(
                '<span class="flex gap-2 items-center"><span class="h-3 w-3 {}"></span>{}</span>', part.tone, part.name
            ),
            f"{part.weight:g}" if part.weight else "",
            part.share.waiting,
            in_words(part.share.oldest_s) if part.share.waiting else "",
            part.share.running,
            part.share.served,
            f"{in_words(part.share.served_s)} ({100 * part.share.served_s / whole:.0f} %)" if part.share.served else "",
        ]
        for part in parts
    ]
    headers = ["Workspace", "Weight", "Waiting", "Oldest", "Running", "Served", "Workers’ time"]
    return {"headers": headers, "rows": rows} if rows else None


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
