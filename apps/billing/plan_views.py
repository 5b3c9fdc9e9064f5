"""Settings, Plan: what an owner has bought, has used and can choose."""

import logging
from typing import Any

import stripe
from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from apps.runs.models.budget import Spend
from apps.tenants.features import FEATURES
from apps.tenants.http import WorkspaceRequest
from apps.tenants.invitations import open_now
from apps.tenants.models import Membership
from apps.tenants.permissions import Permission, needs

from . import checkout, entitlements, plan_files
from .choose import Away, Pages, Refused, is_less, saying_so
from .choose import choose as choose_plan
from .follow import follow
from .models import Subscription
from .plan_files import Plan
from .so_far import so_far
from .stripe_client import NotSetUp

log = logging.getLogger(__name__)


@require_GET
@needs(Permission.MANAGE_BILLING)
def plan(request: WorkspaceRequest) -> HttpResponse:
    return show(request)


@require_POST
@needs(Permission.MANAGE_BILLING)
def choose(request: WorkspaceRequest) -> HttpResponse:
    """Another plan or number of seats; to Stripe's page, if it must be paid for first."""
    if entitlements.is_off():
        return show(request, status=409, refusal="This installation has no plans.")
    here = request.build_absolute_uri(reverse("plan:plan"))
    pages = Pages(done_url=request.build_absolute_uri(reverse("plan:done")), back_url=here)
    seats = request.POST.get("seats", "1")
    if not seats.isascii() or not seats.isdigit() or not 1 <= len(seats) <= 7 or int(seats) < 1:
        return show(request, status=422, refusal="Write how many seats, as a whole number from 1.")
    try:
        url = choose_plan(request.POST.get("plan", ""), int(seats), request.workspace, request.user, pages)
    except Refused as refusal:
        return show(request, status=503 if isinstance(refusal, Away) else 409, refusal=str(refusal))
    if url:
        return redirect(url)
    messages.success(request, "That is settled.")
    return redirect("plan:plan")


@require_GET
@needs(Permission.MANAGE_BILLING)
def done(request: WorkspaceRequest) -> HttpResponse:
    """Back from paying: what Stripe says is looked up at once, as its own word may take a moment."""
    try:
        if not entitlements.is_off():
            follow()
    except (stripe.StripeError, NotSetUp):
        log.exception("what Stripe says could not be looked up; its webhook will tell")
        messages.info(request, "Your payment is on its way. This page knows in a moment.")
    return redirect("plan:plan")


@require_POST
@needs(Permission.MANAGE_BILLING)
def portal(request: WorkspaceRequest) -> HttpResponse:
    """To Stripe's page for cards, addresses and invoices."""
    bought = entitlements.subscription()
    if settings.BILLING != "stripe" or bought is None or not bought.stripe_customer_id:
        return show(request, status=409, refusal="Nothing was ever paid here, so there is no card and no invoice.")
    try:
        with saying_so():
            url = checkout.portal_url(
                bought.stripe_customer_id, back_url=request.build_absolute_uri(reverse("plan:plan"))
            )
    except Refused as refusal:
        return show(request, status=503, refusal=str(refusal))
    return redirect(url)


def show(request: WorkspaceRequest, *, status: int = 200, refusal: str = "") -> HttpResponse:
    bought = entitlements.subscription()
    now = entitlements.plan_of(bought)
    context: dict[str, Any] = {
        "refusal": refusal,
        "bought": bought,
        "plan": now,
        "is_bought": bool(bought and bought.is_in_force and not now.is_free),
        "next_plan": next_of(bought),
        "has_portal": settings.BILLING == "stripe" and bool(bought and bought.stripe_customer_id),
        **limits(now, bought),
    }
    taken = context["members"] + context["invited"]
    context["plans"] = [offer(each, now, bought, taken) for each in plan_files.newest().values()]
    if bought and now.bills and bought.is_in_force:
        context["so_far"] = so_far(now, bought)
    return render(request, "billing/plan.html", context, status=status)


def next_of(bought: Subscription | None) -> Plan | None:
    """What holds after the period, if that is another plan."""
    if bought is None or not bought.is_in_force:
        return None
    if bought.cancel_at_period_end:
        return plan_files.newest()[plan_files.FREE]
    return plan_files.find(bought.next_plan, bought.next_generation) if bought.next_plan else None


def limits(now: Plan, bought: Subscription | None) -> dict[str, Any]:
    seats = entitlements.seats_of(now, bought)
    members, invited = Membership.objects.count(), open_now().count()
    today = timezone.now().date()
    spend = Spend.objects.filter(scope="workspace", subject="", day=today).first()
    tokens = spend.day_tokens if spend else 0
    most = now.limits.tokens_per_day
    return {
        "seats": seats,
        "members": members,
        "invited": invited,
        "seats_percent": min(100, 100 * (members + invited) // seats),
        "has_too_many": members + invited > seats,
        "tokens_today": tokens,
        "tokens_percent": min(100, 100 * tokens // most) if most else 0,
    }


def offer(plan: Plan, now: Plan, bought: Subscription | None, taken: int) -> dict[str, Any]:
    """One plan as its card shows it, and what its button would do. taken: how many seats it proposes at least."""
    is_mine = plan.name == now.name
    has_bought = bool(bought and bought.is_in_force and not now.is_free)
    shown = now if is_mine else plan
    trial = plan.trial_days if not (bought and bought.has_had_trial) and not has_bought else 0
    if is_mine:
        deed = "" if plan.is_free else "Save the seats"
    elif has_bought and (plan.is_free or is_less(plan, now)):
        deed = f"Change to {plan.label} later"
    else:
        deed = f"Try {plan.label} for {trial} days" if trial else f"Choose {plan.label}"
    return {
        "plan": shown,
        "is_mine": is_mine,
        "deed": deed,
        "is_later": has_bought and not is_mine and (plan.is_free or is_less(plan, now)),
        "seats": bought.seats if is_mine and has_bought and bought else max(taken, shown.seats.included),
        "features": [FEATURES[name] for name in shown.features],
        "may_go_on": is_mine and bool(bought and (bought.cancel_at_period_end or bought.next_plan)),
    }
