from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from . import flags
from .models import Membership, Tenant
from .permissions import May


def workspace(request: HttpRequest) -> dict[str, Any]:
    """`workspace`, `membership` and what it `may` on this page, and `my_workspaces` for the switcher, read if shown.

    `switched_off` holds an `Off` for each feature that is off here, by name; `ai_off` is that of the chat, or None.
    One query for both, if the page asks.
    """

    def mine() -> list[Tenant]:
        if not getattr(request, "user", None) or not request.user.is_authenticated:
            return []
        memberships = getattr(request, "memberships", None) or Membership.unscoped.of(request.user)
        tenants = [membership.tenant for membership in memberships]
        return [tenant for tenant in tenants if tenant.status != Tenant.Status.LEAVING]

    switched_off = SimpleLazyObject(lambda: flags.off_now() if getattr(request, "workspace", None) else {})
    return {
        "switched_off": switched_off,
        "ai_off": SimpleLazyObject(lambda: switched_off.get("chat")),
        "workspace": getattr(request, "workspace", None),
        "membership": getattr(request, "membership", None),
        "may": May(getattr(request, "membership", None)),
        "my_workspaces": SimpleLazyObject(mine),
    }
