"""The page on which a draft gets its steps, and the picture of them that follows what is chosen."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from apps.tenants.http import WorkspaceRequest
from apps.tenants.permissions import Permission, needs

from ..models import Batch
from ..refusals import Refusal
from .costs import steps_of
from .create import plan
from .errors import BadFile, Refused
from .mapping import MOST_STEPS
from .pipeline import stones
from .step_forms import StepForm, Values, read_steps, saved_steps, step_forms, without

SHOWN_ROWS = 3
NAME_CHARS = 120


@require_http_methods(["GET", "POST"])
@needs(Permission.RUN_BATCHES)
def steps(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    """A draft's steps: chosen, or changed."""
    batch = get_object_or_404(Batch.objects, pk=id)
    if batch.status != Batch.Status.DRAFT:
        messages.info(request, "This batch has been started already, so its steps stay.")
        return redirect("batches:batch", id=id)
    if request.method == "GET":
        return show(request, batch, saved_steps(steps_of(batch)))
    batch.name = " ".join(request.POST.get("name", "").replace("\0", "").split())[:NAME_CHARS] or batch.name
    found = read_steps(request.POST)
    forms = forms_of(batch, found, is_sent=True)
    if not all(form.is_valid() for form in forms):
        return show(request, batch, found, forms=forms)
    if faults := save(batch, forms):
        return show(request, batch, found, forms=forms, faults=faults)
    return redirect("batches:batch", id=id)


@require_POST
@needs(Permission.RUN_BATCHES)
def draw_steps(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    """What the form says so far, drawn anew; with `add` one step more, with `remove` one less. Nothing is saved."""
    batch = get_object_or_404(Batch.objects, pk=id)
    found = read_steps(request.POST)
    focused = 0
    if "add" in request.POST and len(found) < MOST_STEPS:
        found = [*found, {}]
        focused = len(found)
    elif (gone := request.POST.get("remove", "")).isdecimal():
        found = without(found, int(gone))
        focused = min(int(gone), len(found))
    batch.name = request.POST.get("name", "")[:NAME_CHARS] or batch.name
    return show(request, batch, found, focused=focused)


def save(batch: Batch, forms: list[StepForm]) -> list[str]:
    """Plan the batch; returns what is wrong with its steps or rows, a sentence each."""
    try:
        plan(batch, [step for form in forms if (step := form.planned)])
    except BadFile as bad:
        return [str(flaw) for flaw in bad.flaws]
    except Refused as refused:
        return str(refused).splitlines()
    except Refusal as refusal:
        return [f"{refusal.message} {refusal.action}"]
    batch.save(update_fields=["name"])
    return []


def show(
    request: WorkspaceRequest,
    batch: Batch,
    found: list[Values],
    *,
    forms: list[StepForm] | None = None,
    faults: list[str] | None = None,
    focused: int = 0,
) -> HttpResponse:
    """`focused`: the step, from 1, whose prompt is chosen next."""
    rows = list(batch.rows.order_by("number")[:SHOWN_ROWS])
    forms = forms or forms_of(batch, found)
    if focused:
        forms[focused - 1].fields["prompt"].widget.attrs["autofocus"] = True
    context: dict[str, Any] = {
        "batch": batch,
        "rows": rows,
        "forms": forms,
        "stones": stones([form.planned for form in forms]),
        "faults": faults,
        "is_wrong": bool(faults) or any(form.errors for form in forms),
        "may_add": len(forms) < MOST_STEPS,
        "has_prompts": len(forms[0].fields["prompt"].choices) > 1,  # type: ignore[attr-defined]
    }
    return render(request, "runs/batches/steps.html", context, status=422 if context["is_wrong"] else 200)


def forms_of(batch: Batch, found: list[Values], *, is_sent: bool = False) -> list[StepForm]:
    first = batch.rows.order_by("number").first()
    return step_forms(found, columns=batch.columns, sample=first.input if first else {}, is_sent=is_sent)
