"""Batches in the pages of a workspace: listed, made from a file, checked, started, watched, taken out."""

from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Prefetch, Q
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.text import slugify
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from apps.tenants.audit import record
from apps.tenants.http import WorkspaceRequest
from apps.tenants.permissions import Permission, needs

from .. import gauges
from ..models import Batch, BatchResult, BatchRow
from ..refusals import Refusal
from . import control, create, export, modes
from .costs import steps_of
from .errors import BadFile, Refused
from .listed import Status, lines, listed, reasons
from .pipeline import counts_of, planned, stones
from .progress import progress
from .read import MOST_ROWS, read_rows

PAGE = 25
ACCEPT = ".csv,.tsv,.txt,.xlsx,.jsonl,.ndjson,.json"
KINDS = {
    "waiting": Q(status__in=BatchRow.OPEN),
    **{status: Q(status=status) for status in ("done", "failed", "skipped")},
}


@require_GET
@needs(Permission.RUN_BATCHES)
def batch_list(request: WorkspaceRequest) -> HttpResponse:
    found = Batch.objects.select_related("created_by").order_by("-created_at")
    page = Paginator(found, PAGE).get_page(request.GET.get("page"))
    batches = listed(list(page.object_list))
    is_busy = any(each.batch.status == Batch.Status.RUNNING for each in batches)
    return render(request, "runs/batches/batches.html", {"batches": batches, "page_obj": page, "is_busy": is_busy})


@require_http_methods(["GET", "POST"])
@needs(Permission.RUN_BATCHES)
def new(request: WorkspaceRequest) -> HttpResponse:
    """A file becomes a draft. What is wrong with it is said with the row; nothing is stored then."""
    faults: list[str] = []
    if request.method == "POST":
        file = request.FILES.get("file")
        if file is None or file.name is None:
            faults = ["No file arrived. Choose one."]
        else:
            try:
                sheet = read_rows(file, file.name)
                name = file.name.rpartition(".")[0].replace("_", " ")
                batch = create.create(name, sheet=sheet, user=request.user, source_name=file.name)
            except BadFile as bad:
                faults = [str(flaw) for flaw in bad.flaws]
            except Refused as refused:
                faults = [str(refused)]
            else:
                for note in sheet.notes:
                    messages.info(request, note)
                there = reverse("batches:steps", args=[batch.pk])
                return HttpResponseClientRedirect(there) if request.htmx else redirect(there)
    context = {"faults": faults, "accept": ACCEPT, "max_size_mb": settings.MAX_UPLOAD_MB, "max_rows": MOST_ROWS}
    page = "runs/batches/_faults.html" if request.htmx else "runs/batches/new.html"
    return render(request, page, context, status=422 if faults else 200)


@require_GET
@needs(Permission.RUN_BATCHES)
def batch(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    """What a draft would cost, or how far a batch is. `?show=` some rows only, `?page=` of them."""
    found = get_object_or_404(Batch.objects.select_related("created_by"), pk=id)
    if found.status == Batch.Status.DRAFT:
        if not found.steps.exists():
            return redirect("batches:steps", id=id)
        return render(request, "runs/batches/check.html", check_context(request, found))
    return render(request, "runs/batches/batch.html", live_context(request, found))


def check_context(request: WorkspaceRequest, batch: Batch) -> dict[str, Any]:
    steps = steps_of(batch)
    found = modes.offers(batch)
    offers = modes.open_ones(found)
    cost = offers[0].estimate if offers else None
    shown = stones([planned(step) for step in steps], estimates=cost.steps if cost else ())
    held = [*gauges.of_workspace(), *gauges.of(request.user)]
    room = min(held, key=lambda gauge: gauge.left_usd, default=None)
    return {
        "stones": shown,
        "cost": cost,
        "offers": offers,
        "refused": [each for each in found if each.refusal],
        "room": room,
        "is_offline": modes.is_offline(),
        "is_tight": bool(cost and room and room.left_usd < cost.worst_usd),
        **preview_context(batch),
    }


def preview_context(batch: Batch) -> dict[str, Any]:
    steps = steps_of(batch)
    first = create.first_rows(batch, create.PREVIEWED)
    return {
        "batch": batch,
        "steps": steps,
        "lines": lines(first, batch, steps),
        "is_previewing": any(row.status == Status.RUNNING for row in first),
        "is_previewed": any(row.status not in BatchRow.OPEN for row in first),
        "has_more": any(row.status in (Status.WAITING, Status.FAILED) for row in first),
    }


def live_context(request: WorkspaceRequest, batch: Batch) -> dict[str, Any]:
    steps, now = steps_of(batch), progress(batch)
    chosen = request.GET.get("show", "")
    rows = batch.rows.filter(KINDS.get(chosen, Q())).order_by("number")
    results = BatchResult.objects.select_related("step", "run")
    page = Paginator(rows.prefetch_related(Prefetch("results", results)), PAGE).get_page(request.GET.get("page"))
    return {
        "batch": batch,
        "progress": now,
        "stones": stones([planned(step) for step in steps], counts=counts_of(batch, steps), rows=now.total),
        "steps": steps,
        "lines": lines(page.object_list, batch, steps),
        "page_obj": page,
        "chosen": chosen if chosen in KINDS else "",
        "reasons": reasons(batch) if now.failed else [],
        "files": list(batch.files.order_by("created_at")),
    }


@require_GET
@needs(Permission.RUN_BATCHES)
def row(request: WorkspaceRequest, id: UUID, number: int) -> HttpResponse:
    """One row: all its columns, and all that was said of it."""
    found = get_object_or_404(Batch.objects, pk=id)
    results = Prefetch("results", BatchResult.objects.select_related("step", "run"))
    one = get_object_or_404(found.rows.prefetch_related(results), number=number)
    cells = [(name, one.input.get(name, "")) for name in found.columns]
    [line] = lines([one], found, steps_of(found))
    around = {"before": number - 1, "after": number + 1 if number < found.row_count else 0}
    return render(request, "runs/batches/row.html", {"batch": found, "line": line, "columns": cells, **around})


@require_http_methods(["GET", "POST"])
@needs(Permission.RUN_BATCHES)
def preview(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    """POST answers the draft's first rows, for good; GET shows how far that is."""
    found = get_object_or_404(Batch.objects, pk=id)
    if request.method == "GET":
        return render(request, "runs/batches/_preview.html", preview_context(found))
    try:
        async_to_sync(create.preview)(found)
    except Refused as refused:
        messages.error(request, str(refused))
    except Refusal as refusal:
        messages.error(request, f"{refusal.message} {refusal.action}")
    return redirect("batches:batch", id=id)


@require_POST
@needs(Permission.RUN_BATCHES)
def start(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    found = get_object_or_404(Batch.objects, pk=id)

    def begin(batch: Batch) -> None:
        modes.choose(batch, request.POST.get("mode", Batch.Mode.NOW))
        control.start(batch, cap_usd=modes.offer(batch, Batch.Mode(batch.mode)).cap_usd)

    return deed(request, found, begin, "The batch is running. It goes on without you.")


@require_POST
@needs(Permission.RUN_BATCHES)
def pause(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    found = get_object_or_404(Batch.objects, pk=id)
    return deed(request, found, control.pause, "The batch is paused. Rows that were under way still end.")


@require_POST
@needs(Permission.RUN_BATCHES)
def resume(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    return deed(request, get_object_or_404(Batch.objects, pk=id), control.resume, "The batch is running again.")


@require_POST
@needs(Permission.RUN_BATCHES)
def cancel(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    return deed(request, get_object_or_404(Batch.objects, pk=id), control.cancel, "The batch is cancelled.")


@require_POST
@needs(Permission.RUN_BATCHES)
def retry(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    found = get_object_or_404(Batch.objects, pk=id)
    return deed(request, found, control.retry_failed, "Failed rows are tried again, from the step that failed.")


def deed(request: WorkspaceRequest, batch: Batch, do: Callable[[Batch], Any], done: str) -> HttpResponse:
    """Do it, and say so or why not."""
    try:
        do(batch)
    except Refused as refused:
        messages.error(request, str(refused))
    except Refusal as refusal:
        messages.error(request, f"{refusal.message} {refusal.action}")
    else:
        messages.success(request, done)
    return redirect("batches:batch", id=batch.pk)


@require_GET
@needs(Permission.RUN_BATCHES)
def results_csv(request: WorkspaceRequest, id: UUID) -> StreamingHttpResponse:
    return download(get_object_or_404(Batch.objects, pk=id), export.as_csv, "csv", "text/csv")


@require_GET
@needs(Permission.RUN_BATCHES)
def results_jsonl(request: WorkspaceRequest, id: UUID) -> StreamingHttpResponse:
    return download(get_object_or_404(Batch.objects, pk=id), export.as_json_lines, "jsonl", "application/x-ndjson")


def download(
    batch: Batch, write: Callable[[Batch], AsyncIterator[str]], extension: str, kind: str
) -> StreamingHttpResponse:
    record("batch.exported", batch)
    response = StreamingHttpResponse(write(batch), content_type=f"{kind}; charset=utf-8")
    name = slugify(batch.name) or "batch"
    response["Content-Disposition"] = f'attachment; filename="{name}-results.{extension}"'
    response["Cache-Control"] = "no-store"
    return response
