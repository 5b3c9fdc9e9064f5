"""What Stripe says a workspace has bought becomes what we say: read there, written here, then put into effect.

Nothing is taken from an event but whose customer it is about. So events may come late, twice and in any order: each has
the state as it is now read again, one reader of a workspace at a time, and the last one sees the newest.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime

import stripe
from django.db import transaction
from django.utils import timezone

from apps.tenants.audit import record

from . import stripe_client
from .apply import apply
from .models import Subscription

log = logging.getLogger(__name__)

STATUSES = {
    "trialing": Subscription.Status.TRIALING,
    "active": Subscription.Status.ACTIVE,
    "past_due": Subscription.Status.PAST_DUE,
    "unpaid": Subscription.Status.UNPAID,
    "paused": Subscription.Status.UNPAID,  # its trial ended, and there is nothing to pay with
    "canceled": Subscription.Status.CANCELLED,
}
LIVE = ("trialing", "active", "past_due", "unpaid", "paused")


def follow() -> Subscription | None:
    """Have the active workspace be as Stripe says. Returns what it has bought. Raises stripe.StripeError, NotSetUp."""
    with transaction.atomic():
        bought: Subscription | None = Subscription.objects.select_for_update().first()
        if bought is None or not bought.stripe_customer_id:
            return bought
        before = (bought.status, bought.plan)
        at = timezone.now()
        found = newest(subscriptions_of(bought.stripe_customer_id))
        if found is None:
            return bought
        write(bought, found, at)
        bought.save()
        apply(bought, ended_at=moment(found.ended_at))
        if bought.status != before[0] and bought.status != Subscription.Status.ACTIVE:
            record("subscription.changed", bought, status={"before": before[0], "after": bought.status})
    return bought


def subscriptions_of(customer: str) -> list[stripe.Subscription]:
    found = stripe_client.client().v1.subscriptions.list(
        {"customer": customer, "status": "all", "limit": 100, "expand": ["data.latest_invoice", "data.schedule"]}
    )
    return list(found.auto_paging_iter())


def newest(found: Sequence[stripe.Subscription]) -> stripe.Subscription | None:
    """The one that counts: the newest that lives, else the newest that ended. One that was never paid never began."""
    began = sorted((each for each in found if each.status in STATUSES), key=lambda each: (each.created, each.id))
    living = [each for each in began if each.status in LIVE]
    if len(living) > 1:
        log.error("the customer %s has %s subscriptions; end one at Stripe", living[0].customer, len(living))
    return next(reversed(living or began), None)


def write(bought: Subscription, found: stripe.Subscription, at: datetime) -> None:
    """The row as Stripe's subscription is, every column of it."""
    items = list(found["items"].auto_paging_iter())
    seat = next((item for item in items if stripe_client.about(item.price).get("part") == "seat"), None)
    if seat is None:
        raise stripe_client.NotSetUp(
            f"The subscription {found.id} has no price that `manage.py stripe_sync` made, so its plan isn’t known."
        )
    said = stripe_client.about(seat.price)
    bought.plan, bought.generation = said["plan"], said["generation"]
    bought.seats = seat.quantity or 1
    bought.status = STATUSES[found.status]
    bought.stripe_subscription_id = found.id
    bought.trial_ends_at = moment(found.trial_end)
    bought.has_had_trial = bought.has_had_trial or found.trial_end is not None
    bought.period_start = moment(seat.current_period_start)
    bought.period_end = moment(seat.current_period_end)
    bought.cancel_at_period_end = found.cancel_at_period_end
    write_schedule(bought, found)
    write_dunning(bought, found)
    bought.as_of = at


def write_schedule(bought: Subscription, found: stripe.Subscription) -> None:
    bought.stripe_schedule_id, said = "", {}
    if isinstance(found.schedule, stripe.SubscriptionSchedule) and found.schedule.status in ("active", "not_started"):
        bought.stripe_schedule_id, said = found.schedule.id, stripe_client.about(found.schedule)
    bought.next_plan, bought.next_generation = said.get("next_plan", ""), said.get("next_generation", "")
    if (bought.next_plan, bought.next_generation) == (bought.plan, bought.generation):
        bought.next_plan = bought.next_generation = ""  # it has come about


def write_dunning(bought: Subscription, found: stripe.Subscription) -> None:
    invoice = found.latest_invoice
    is_owed = bought.status in (Subscription.Status.PAST_DUE, Subscription.Status.UNPAID)
    if not is_owed or not isinstance(invoice, stripe.Invoice):
        bought.past_due_since = bought.next_payment_at = None
        return
    bought.past_due_since = moment(invoice.created)
    bought.next_payment_at = moment(invoice.next_payment_attempt)


def moment(seconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
