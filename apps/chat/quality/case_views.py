"""Cases: made of answers with one click, edited, approved or rejected, taken out as a suite."""

from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.tenants.audit import record
from apps.tenants.http import WorkspaceRequest
from apps.tenants.permissions import Permission, needs

from ..models import EvalCase, EvalReport, Feedback
from .case_form import CaseForm
from .cases import State, make, remove, review, shown_to
from .page import show
from .suite_file import as_suite

PAGE = 30
STATES = {"approve": State.APPROVED, "reject": State.REJECTED}
SAID = {
    "save": "The case is saved.",
    "approve": "The case is approved. It is asked every night once measuring is on.",
    "reject": "The case is rejected.",
}


@require_GET
@needs(Permission.CHANGE_SETTINGS)
def case_list(request: WorkspaceRequest) -> HttpResponse:
    """?state=approved or rejected: those; drafts otherwise."""
    wanted = request.GET.get("state", "")
    state = State(wanted) if wanted in State.values else State.DRAFT
    counts = dict(EvalCase.objects.values_list("state").annotate(n=Count("pk")))
    found = EvalCase.objects.filter(state=state).select_related("reviewed_by", "made_by").order_by("-created_at")
    page = Paginator(found, PAGE).get_page(request.GET.get("page"))
    tabs = [
        {"value": each.value, "label": each.label, "count": counts.get(each.value, 0), "is_shown": each == state}
        for each in State
    ]
    context = {
        "cases": page.object_list,
        "page_obj": page,
        "tabs": tabs,
        "state": state,
        "approved": counts.get(State.APPROVED, 0),
        "failed": failed_last_night(),
    }
    return show(request, "cases.html", context)


def failed_last_night() -> set[UUID]:
    newest = EvalReport.objects.order_by("-day").values_list("failed_cases", flat=True).first()
    return set(newest or ())


@require_POST
@needs(Permission.CHANGE_SETTINGS)
def make_case(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    """Of an answer that was rated, or of one's own; opens what was made of it before."""
    message = get_object_or_404(
        shown_to(request.user).select_related("in_reply_to", "run", "conversation__user"), pk=id
    )
    return redirect("quality:case", make(message, by=request.user).pk)


@require_POST
@needs(Permission.CHANGE_SETTINGS)
def case_of_run(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    """The case of the answer that a run wrote, made if need be."""
    if case := EvalCase.objects.filter(run_id=id).first():
        return redirect("quality:case", case.pk)
    message = shown_to(request.user).filter(run_id=id).first()
    if message is None:
        messages.error(
            request, "There is nothing to make a case of: no answer of this run was rated, or it is deleted."
        )
        return redirect("quality:cases")
    return redirect("quality:case", make(message, by=request.user).pk)


@require_http_methods(["GET", "POST"])
@needs(Permission.CHANGE_SETTINGS)
def case(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    """What it says; what was edited is saved, and with it approved. What is rejected is left as it was."""
    with transaction.atomic():
        found = get_object_or_404(EvalCase.objects.select_for_update(of=("self",)), pk=id)
        deed = request.POST.get("deed", "")
        approves = deed == "approve" or found.state == State.APPROVED
        form = CaseForm(request.POST if deed in ("save", "approve") else None, case=found, approves=approves)
        if deed == "reject" or form.is_valid():
            values = form.values if form.is_valid() else {}
            review(found, by=request.user, state=STATES.get(deed, ""), **values)
            messages.success(request, SAID[deed])
            return redirect("quality:case", found.pk) if deed == "save" else redirect("quality:cases")
    said = Feedback.objects.filter(message=found.message_id).first() if found.message_id else None
    return show(request, "case.html", {"case": found, "form": form, "feedback": said})


@require_POST
@needs(Permission.CHANGE_SETTINGS)
def remove_case(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    found = get_object_or_404(EvalCase.objects, pk=id)
    remove(found)
    messages.success(request, "The case is removed.")
    return redirect("quality:cases")


@require_POST
@needs(Permission.CHANGE_SETTINGS)
def export_cases(request: WorkspaceRequest) -> HttpResponse:
    """The approved ones, as a file for `evals/suites`."""
    approved = list(EvalCase.objects.filter(state=State.APPROVED).order_by("created_at", "pk"))
    if not approved:
        messages.error(request, "No case is approved yet, so there is nothing to export.")
        return redirect("quality:cases")
    record("eval_case.exported", count=len(approved))
    text = as_suite(approved, workspace=request.workspace.slug, name=request.workspace.name)
    response = HttpResponse(text, content_type="application/yaml; charset=utf-8")
    name = f"{request.workspace.slug}-cases-{timezone.now():%Y-%m-%d}.yaml"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response
