"""Plans without anybody paying: what is chosen takes effect at once. For a machine of one's own, and for tests.

Months go by here as they do at Stripe: a trial becomes a month, and at a month's end what was chosen for then holds.
"""

import calendar
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from . import plan_files
from .apply import apply
from .models import Subscription
from .plan_files import Plan


@transaction.atomic
def begin(plan: Plan, seats: int) -> Subscription:
    """The active workspace is on that plan from now on, on trial if it never was."""
    now = timezone.now()
    bought = Subscription.objects.select_for_update().first() or Subscription()
    was_live = bought.is_in_force and bought.period_end is not None
    bought.plan, bought.generation, bought.seats = plan.name, plan.generation, seats
    bought.next_plan = bought.next_generation = ""
    bought.cancel_at_period_end = False
    bought.past_due_since = bought.next_payment_at = None
    if not was_live or bought.status == Subscription.Status.TRIALING:
        has_trial = plan.trial_days and not bought.has_had_trial
        bought.status = Subscription.Status.TRIALING if has_trial else Subscription.Status.ACTIVE
        bought.trial_ends_at = now + timedelta(days=plan.trial_days) if has_trial else None
        bought.has_had_trial = bought.has_had_trial or bool(has_trial)
        bought.period_start, bought.period_end = now, bought.trial_ends_at or a_month_after(now)
    bought.save()
    apply(bought)
    return bought


@transaction.atomic
def change_later(bought: Subscription, plan: Plan) -> Subscription:
    """What holds now holds until its period ends, then `plan` does."""
    bought.cancel_at_period_end = plan.is_free
    bought.next_plan, bought.next_generation = ("", "") if plan.is_free else (plan.name, plan.generation)
    bought.save()
    return bought


@transaction.atomic
def go_on(bought: Subscription, seats: int) -> Subscription:
    """What holds now goes on after its period, for so many seats from now on."""
    bought.cancel_at_period_end, bought.next_plan, bought.next_generation = False, "", ""
    bought.seats = seats
    bought.save()
    apply(bought)
    return bought


def roll(now: datetime | None = None) -> bool:
    """Begin the active workspace's next period if one is over. Returns whether one was."""
    now = now or timezone.now()
    with transaction.atomic():
        due = Subscription.objects.select_for_update().filter(stripe_customer_id="", period_end__lte=now)
        bought: Subscription | None = due.exclude(status=Subscription.Status.CANCELLED).first()
        if bought is None or bought.period_end is None:
            return False
        ended = bought.period_end
        if bought.cancel_at_period_end:
            bought.status = Subscription.Status.CANCELLED
        else:
            bought.status = Subscription.Status.ACTIVE
            if bought.next_plan:
                plan = plan_files.find(bought.next_plan, bought.next_generation)
                bought.plan, bought.generation = plan.name, plan.generation
            bought.period_start, bought.period_end = ended, a_month_after(ended)
        bought.next_plan = bought.next_generation = ""
        bought.cancel_at_period_end = False
        bought.save()
        apply(bought, ended_at=ended)
        return True


def a_month_after(at: datetime) -> datetime:
    """The same day of the next month, or its last."""
    year, month = (at.year + 1, 1) if at.month == 12 else (at.year, at.month + 1)
    return at.replace(year=year, month=month, day=min(at.day, calendar.monthrange(year, month)[1]))
