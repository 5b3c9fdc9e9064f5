from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from . import entitlements
from .owed import owed


def billing(request: HttpRequest) -> dict[str, Any]:
    """`billing_mode`; and `billing_owed` of the workspace, or None, read if shown."""

    def now() -> Any:
        has_one = getattr(request, "workspace", None) and not entitlements.is_off()
        return owed(entitlements.subscription()) if has_one else None

    return {"billing_mode": settings.BILLING, "billing_owed": SimpleLazyObject(now)}
