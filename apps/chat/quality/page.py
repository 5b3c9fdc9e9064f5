"""The frame of the quality pages: what each shows besides its own."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render

from apps.tenants.http import WorkspaceRequest

from ..models import EvalReport
from .metrics import METRICS, drift_sentence


def show(request: WorkspaceRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """With what the newest report says has become worse."""
    newest = EvalReport.objects.order_by("-day").first()
    worse = [drift_sentence(each) for each in newest.drift if each["metric"] in METRICS] if newest else []
    frame = {"newest_report": newest, "worse": worse}
    return render(request, f"chat/quality/{template}", frame | context)
