from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from . import alerts
from .chain import is_offline


def models(request: HttpRequest) -> dict[str, bool]:
    """`offline_mode`: no provider is configured, so answers are quotes; pages say so."""
    return {"offline_mode": is_offline()}


def budgets(request: HttpRequest) -> dict[str, Any]:
    """`budget_alerts` of the workspace, read if shown."""
    return {"budget_alerts": SimpleLazyObject(lambda: alerts.shown(request))}
