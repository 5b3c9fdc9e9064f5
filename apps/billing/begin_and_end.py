"""A workspace is made: it gets the free plan's limits. One is erased: what it used is billed, and its plan ends."""

import logging
from typing import Any

import stripe
from django.conf import settings

from . import entitlements, meter, send, stripe_change
from .apply import apply
from .models import MeterEvent, Subscription

log = logging.getLogger(__name__)


class NotEnded(OSError):
    """Stripe can't be told right now that a workspace is gone; its removal is tried again."""


def begin(**_: Any) -> None:
    if not entitlements.is_off():
        apply(None)


def end(**_: Any) -> None:
    """Send what wasn't sent and end the subscription, while the rows that say so are still there. Raises NotEnded."""
    bought: Subscription | None = Subscription.objects.first()
    if bought is None or not bought.stripe_subscription_id or bought.status == Subscription.Status.CANCELLED:
        return
    if settings.BILLING != "stripe":
        log.error(
            "BILLING is %s, so the subscription %s was not ended", settings.BILLING, bought.stripe_subscription_id
        )
        return
    try:
        meter.meter()
        while send.send():
            pass
        if MeterEvent.objects.filter(status__in=MeterEvent.OPEN).exists():
            raise NotEnded("Stripe takes no meter events right now.")
        stripe_change.cancel_now(bought)
    except stripe.StripeError as error:
        raise NotEnded(str(error)) from error
    Subscription.objects.update(status=Subscription.Status.CANCELLED)
