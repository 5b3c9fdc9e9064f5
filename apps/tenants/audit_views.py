"""The workspace's log: read by page, filtered, and taken out as CSV."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, time
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseBadRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from . import deeds
from .audit import record
from .context import tenant_context
from .http import WorkspaceRequest
from .models import AuditEvent, Membership, Tenant
from .permissions import Permission, needs
from .spreadsheet import MARK, lines
from .threads import in_thread

PAGE = 50
ROWS_AT_ONCE = 1_000
HEADER = "time (UTC),person,action,what,thing type,thing id,thing,details,ip,browser".split(",")

Events = QuerySet[AuditEvent]


class FilterForm(forms.Form):
    """What of the log is shown. Days are in UTC, and both of them count."""

    who = forms.CharField(label="Person", required=False, max_length=254)
    action = forms.ChoiceField(
        required=False,
        choices=[("", "Everything"), *((action, deeds.label(action)) for action in deeds.SENTENCES)],
    )
    since = forms.DateField(label="From", required=False, widget=forms.DateInput({"type": "date"}))
    until = forms.DateField(label="To", required=False, widget=forms.DateInput({"type": "date"}))

    def clean_who(self) -> str:
        return self.cleaned_data["who"].strip().lower()

    def narrow(self, events: Events) -> Events:
        """The events that match; a filter that makes no sense matches none."""
        if not self.is_valid():
            return events.none()
        wanted = self.cleaned_data
        if wanted["who"]:
            events = events.filter(actor_email="" if wanted["who"] == deeds.SYSTEM else wanted["who"])
        if wanted["action"]:
            events = events.filter(action=wanted["action"])
        if wanted["since"]:
            events = events.filter(at__gte=datetime.combine(wanted["since"], time(), UTC))
        if wanted["until"]:
            events = events.filter(at__lte=datetime.combine(wanted["until"], time.max, UTC))
        return events


class Cursor:
    """Between two events, in a page's address: `<instant>_<id>` of the event beside it."""

    def __init__(self, text: str) -> None:
        """Raises ValueError for what isn't one."""
        at, _, id = text.partition("_")
        try:
            instant, self.id = datetime.fromisoformat(at), UUID(id)
            self.at = instant.astimezone(UTC)
        except OverflowError as error:
            raise ValueError(text) from error
        if instant.tzinfo is None:
            raise ValueError(text)

    @staticmethod
    def of(event: AuditEvent) -> str:
        return f"{event.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}_{event.id}"

    def older(self, events: Events) -> Events:
        # Said so that the index begins at the place, which it wouldn't with OR.
        return events.filter(at__lte=self.at).exclude(at=self.at, id__gte=self.id)

    def newer(self, events: Events) -> Events:
        return events.filter(at__gte=self.at).exclude(at=self.at, id__lte=self.id)


def page_of(events: Events, *, before: str = "", after: str = "") -> tuple[list[AuditEvent], bool, bool]:
    """One page, newest first, and whether there are newer and older ones. As fast far down as on top."""
    try:
        place = Cursor(before or after) if before or after else None
    except ValueError:
        place = None
    if place and after and not before:
        found = list(place.newer(events).order_by("at", "id")[: PAGE + 1])
        return found[PAGE - 1 :: -1] if len(found) > PAGE else found[::-1], len(found) > PAGE, True
    if place:
        events = place.older(events)
    found = list(events.order_by("-at", "-id")[: PAGE + 1])
    return found[:PAGE], place is not None, len(found) > PAGE


@require_GET
@needs(Permission.READ_AUDIT_LOG)
def audit_log(request: WorkspaceRequest) -> HttpResponse:
    form = FilterForm(request.GET)
    events, has_newer, has_older = page_of(
        form.narrow(AuditEvent.objects.select_related("actor")),
        before=request.GET.get("before", ""),
        after=request.GET.get("after", ""),
    )
    for event in events:
        event.sentence, event.where = deeds.sentence(event), deeds.where(event)  # type: ignore[attr-defined]
        event.day = event.at.astimezone(UTC).date()  # type: ignore[attr-defined]
    chosen = {name: value for name, value in request.GET.items() if name in form.fields and value}
    context: dict[str, Any] = {
        "form": form,
        "events": events,
        "is_filtered": bool(chosen),
        "filters": urlencode(chosen),
        "newer": urlencode({**chosen, "after": Cursor.of(events[0])}) if events and has_newer else "",
        "older": urlencode({**chosen, "before": Cursor.of(events[-1])}) if events and has_older else "",
        "is_newest": not (request.GET.get("before") or request.GET.get("after")),
        "people": Membership.objects.values_list("user__email", flat=True).order_by("user__email"),
        "system": deeds.SYSTEM,
    }
    return render(request, "tenants/audit_log.html", context)


@require_POST
@needs(Permission.READ_AUDIT_LOG)
def export_audit_log(request: WorkspaceRequest) -> HttpResponseBase:
    """What the filter of the page shows, all of it, as CSV. That it was taken out is an event too."""
    form = FilterForm(request.GET)
    if not form.is_valid():
        return HttpResponseBadRequest("The filter can’t be read. Go back to the log and choose it again.")
    events = form.narrow(AuditEvent.objects.all())
    record("audit.exported", filters={name: str(value) for name, value in form.cleaned_data.items() if value})
    response = StreamingHttpResponse(csv_of(request.workspace, events), content_type="text/csv; charset=utf-8")
    name = f"{request.workspace.slug}-audit-log-{timezone.now():%Y-%m-%d}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response


async def csv_of(tenant: Tenant, events: Events) -> AsyncIterator[str]:
    """The events as CSV, newest first. Read while it is sent, when the request's own context is left already."""
    yield MARK + lines([HEADER])
    rest = events
    while True:
        with tenant_context(tenant):
            found = await in_thread(list, rest.order_by("-at", "-id")[:ROWS_AT_ONCE])
        if not found:
            return
        yield lines([row_of(event) for event in found])
        rest = Cursor(Cursor.of(found[-1])).older(events)


def row_of(event: AuditEvent) -> list[str]:
    return [
        f"{event.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
        event.actor_email or deeds.SYSTEM,
        event.action,
        deeds.plain_sentence(event),
        event.target_type,
        event.target_id,
        event.target_name,
        json.dumps(event.details, ensure_ascii=False, sort_keys=True) if event.details else "",
        event.ip or "",
        event.user_agent,
    ]
