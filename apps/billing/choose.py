"""An owner chooses a plan, or how many seats: at once if it gives more, when the period ends if it gives less.

Refused        what may not be chosen, as a sentence for whoever tried
└── Away       Stripe can't be reached, or isn't set up
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import stripe
from django.conf import settings
from django.db import transaction

from apps.tenants.audit import record
from apps.tenants.models import Tenant, User

from . import entitlements, local, plan_files, stripe_change
from .checkout import checkout_url
from .follow import follow
from .models import Subscription
from .plan_files import Plan
from .stripe_client import NotSetUp


class Refused(Exception):
    pass


class Away(Refused):
    pass


@dataclass(frozen=True, slots=True)
class Pages:
    """Where Stripe's page sends people back to."""

    done_url: str
    back_url: str


def choose(name: str, seats: int, tenant: Tenant, owner: User, pages: Pages) -> str | None:
    """Have the active workspace on the plan of that name. Returns an address to go to, if it must be paid for first.

    Raises Refused, having changed nothing.
    """
    bought = entitlements.subscription()
    now = entitlements.plan_of(bought)
    plan = now if name == now.name else plan_files.newest().get(name)
    if plan is None:
        raise Refused("There is no such plan. Choose one of those on the page.")
    require_seats(plan, seats)
    if plan.is_free and not is_live(bought):
        raise Refused(f"You are on {plan.label} already.")
    with saying_so():
        url = choose_at_stripe(bought, now, plan, seats, tenant, owner, pages)
    if url is None:
        record("plan.chosen", bought, plan=plan.label, seats=seats)
    return url


def choose_at_stripe(
    bought: Subscription | None, now: Plan, plan: Plan, seats: int, tenant: Tenant, owner: User, pages: Pages
) -> str | None:
    if settings.BILLING == "local":
        choose_locally(bought, now, plan, seats)
        return None
    if bought is None or not is_live(bought):
        require_not_bought_meanwhile()
        return checkout_url(plan, seats, tenant, owner, done_url=pages.done_url, back_url=pages.back_url)
    if plan.is_free:
        stripe_change.cancel_later(bought)
    elif plan == now:
        stripe_change.go_on(bought, seats)
    elif is_less(plan, now):
        stripe_change.change_later(bought, plan, seats)
    else:
        stripe_change.change_now(bought, plan, seats)
    follow()
    return None


def require_not_bought_meanwhile() -> None:
    """Two subscriptions would be charged twice: Stripe is asked once more before another is offered."""
    bought = follow()
    if bought and bought.status == Subscription.Status.UNPAID:
        raise Refused("An invoice is open. Pay it under “Payment and invoices”, and your plan holds again.")
    if is_live(bought):
        raise Refused("This workspace has a plan meanwhile. Look at it, then choose again.")


@transaction.atomic
def choose_locally(bought: Subscription | None, now: Plan, plan: Plan, seats: int) -> None:
    if bought is None or not is_live(bought):
        local.begin(plan, seats)
    elif plan == now:
        local.go_on(bought, seats)
    elif plan.is_free or is_less(plan, now):
        local.change_later(bought, plan)
    else:
        local.begin(plan, seats)


def require_seats(plan: Plan, seats: int) -> None:
    most = plan.seats.most
    if plan.is_free:
        return
    if seats < plan.seats.included:
        raise Refused(f"{plan.label} begins with {plan.seats.included} seats. Choose at least as many.")
    if most is not None and seats > most:
        raise Refused(f"{plan.label} has at most {most:,} seats. Choose fewer, or another plan.")


def is_live(bought: Subscription | None) -> bool:
    """Whether there is something to change, rather than to buy."""
    return bool(bought and bought.is_in_force and bought.plan != plan_files.FREE)


def is_less(plan: Plan, than: Plan) -> bool:
    """Whether what was paid for already would be taken away at once, or its use couldn't be added up any more."""
    if plan.bills is None or than.bills is None or plan.bills.unit != than.bills.unit:
        return True
    return plan.price_usd < than.price_usd


@contextmanager
def saying_so() -> Iterator[None]:
    """What goes wrong at Stripe, as a sentence."""
    try:
        yield
    except NotSetUp as error:
        raise Away("Payments aren’t set up yet. Tell whoever runs this installation.") from error
    except stripe.CardError as error:
        raise Refused(f"The payment was refused: {error.user_message} Change the card, then try again.") from error
    except stripe.StripeError as error:
        raise Away("The payment provider can’t be reached just now. Nothing was changed; try again.") from error
