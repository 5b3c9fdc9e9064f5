"""For whom there is something to do, among all workspaces: an operator's and a clock's. What is done is done in each
one's own context."""

import logging
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import F, Q
from django.utils import timezone

from apps.tenants.context import tenant_id_context
from apps.tenants.platform import require_platform

from . import local, meter, send
from .models import MeterEvent, PlanPeriod, Subscription

log = logging.getLogger(__name__)


def with_hours_to_meter() -> list[UUID]:
    """Workspaces with an hour that is over and not in the outbox yet, the longest first."""
    until = meter.closed()
    periods = PlanPeriod.unscoped.using(require_platform()).filter(
        Q(ends_at=None) | Q(ends_at__gt=F("metered_until")), metered_until__lt=until
    )
    return list(dict.fromkeys(periods.order_by("metered_until").values_list("tenant_id", flat=True)))


def with_events_to_send() -> list[UUID]:
    due = MeterEvent.unscoped.using(require_platform()).filter(
        status__in=MeterEvent.OPEN, next_attempt_at__lte=timezone.now()
    )
    return list(dict.fromkeys(due.order_by("at").values_list("tenant_id", flat=True)))


def with_periods_over() -> list[UUID]:
    """Those that nobody charges: of the others Stripe says when a period is over."""
    over = Subscription.unscoped.using(require_platform()).filter(stripe_customer_id="", period_end__lte=timezone.now())
    return list(over.exclude(status=Subscription.Status.CANCELLED).values_list("tenant_id", flat=True))


def with_periods_since(at: Any) -> list[UUID]:
    periods = PlanPeriod.unscoped.using(require_platform()).filter(Q(ends_at=None) | Q(ends_at__gte=at))
    return list(dict.fromkeys(periods.order_by("tenant_id").values_list("tenant_id", flat=True)))


def meter_all() -> int:
    return each(with_hours_to_meter(), lambda: len(meter.meter()))


def look_again() -> int:
    """Meter every hour again that Stripe would still take: what a run came to after its hour was settled."""
    since = meter.hour_of(timezone.now() - meter.KNOWN_FOR + timedelta(days=1))
    return each(with_periods_since(since), lambda: len(meter.meter(begin=since)))


def send_all() -> int:
    """Where nobody is charged any more, what is in outboxes stays there."""
    return each(with_events_to_send(), send.send) if settings.BILLING == "stripe" else 0


def roll_all() -> int:
    return each(with_periods_over(), lambda: int(local.roll()))


def each(tenants: Iterable[UUID], do: Callable[[], int]) -> int:
    """Do it in each one's context; returns the sum. One that fails holds up no other."""
    done = 0
    for tenant_id in tenants:
        try:
            with tenant_id_context(tenant_id):
                done += do()
        except Exception:
            log.exception("billing of the workspace %s failed; it is tried again", tenant_id)
    return done
