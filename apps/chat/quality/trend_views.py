"""What answers were worth by day, and whether they are measured at all."""

from datetime import timedelta

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from apps.tenants.change import change
from apps.tenants.http import WorkspaceRequest
from apps.tenants.permissions import Permission, needs

from ..models import EvalCase, EvalReport
from .metrics import MOST_SAMPLED
from .page import show
from .trend import charts, prompt_changes

SPANS = {"30": "30 days", "90": "90 days"}


@require_GET
@needs(Permission.CHANGE_SETTINGS)
def trend(request: WorkspaceRequest) -> HttpResponse:
    """?days=90: that far back, else 30."""
    wanted = request.GET.get("days", "")
    span = wanted if wanted in SPANS else "30"
    last = timezone.now().date()
    first = last - timedelta(days=int(span))
    reports = list(EvalReport.objects.filter(day__range=(first, last)).order_by("day"))
    context = {
        "charts": charts(reports, first=first, last=last),
        "changes": prompt_changes(reports),
        "spans": [{"value": value, "label": label, "is_shown": value == span} for value, label in SPANS.items()],
        "latest": reports[-1] if reports else None,
        "passed": reports[-1].cases - len(reports[-1].failed_cases) if reports else 0,
    }
    return show(request, "trend.html", context)


class MeasuringForm(forms.Form):
    samples_answers = forms.BooleanField(label="Measure answers every night", required=False)


@require_http_methods(["GET", "POST"])
@needs(Permission.CHANGE_SETTINGS)
def measuring(request: WorkspaceRequest) -> HttpResponse:
    """The workspace's consent, which the audit log keeps."""
    sent = request.POST if request.method == "POST" else None
    form = MeasuringForm(sent, initial={"samples_answers": request.workspace.samples_answers})
    if sent is not None and form.is_valid():
        workspace = change(request.workspace, samples_answers=form.cleaned_data["samples_answers"])
        said = (
            "Answers are measured from the next night on."
            if workspace.samples_answers
            else "Nothing is measured any more."
        )
        messages.success(request, said)
        return redirect("quality:measuring")
    approved = EvalCase.objects.filter(state=EvalCase.State.APPROVED).count()
    return show(request, "measuring.html", {"form": form, "approved": approved, "most": MOST_SAMPLED})
