"""From the outbox to Stripe: every event once, whatever breaks on the way.

That it is being sent is written first. Whoever is killed between sending an event and marking it as sent leaves it to
be sent again under the same identifier, which Stripe takes once. Stripe forgets identifiers after a day; what is older
is looked up in its own sums before it is sent again.
"""

import logging
from datetime import timedelta

import stripe
from django.db import transaction
from django.utils import timezone

from . import stripe_client
from .meter import KNOWN_FOR, MINUTE
from .models import MeterEvent
from .stripe_client import Stripe

log = logging.getLogger(__name__)

AT_ONCE = 200
REMEMBERED = timedelta(hours=23)  # Stripe promises a day
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=6)
TAKEN = "already exists with identifier"


def send(*, limit: int = AT_ONCE) -> int:
    """Send the active workspace's events that are due; returns how many Stripe has now that it hadn't before.

    What fails is due again later, each time after twice as long. Raises nothing that Stripe says.
    """
    sent = 0
    for event in claim(limit):
        sent += deliver(event, stripe_client.client())
    return sent


def claim(limit: int) -> list[MeterEvent]:
    """Those that are due, written down as being sent, and due again only later: nobody else takes them meanwhile."""
    now = timezone.now()
    with transaction.atomic():
        due = MeterEvent.objects.filter(status__in=MeterEvent.OPEN, next_attempt_at__lte=now).order_by("at")
        events = list(due.select_for_update(skip_locked=True)[:limit])
        for event in events:
            event.status, event.attempts = MeterEvent.Status.SENDING, event.attempts + 1
            event.first_sent_at = event.first_sent_at or now
            event.next_attempt_at = now + wait(event.attempts)
        MeterEvent.objects.bulk_update(events, ["status", "attempts", "first_sent_at", "next_attempt_at"])
    return events


def wait(attempts: int) -> timedelta:
    return min(FIRST_WAIT * 2 ** min(attempts - 1, 20), LONGEST_WAIT)


def deliver(event: MeterEvent, api: Stripe) -> bool:
    """Whether Stripe has it now."""
    try:
        if is_forgotten(event) and has(event, api):
            return mark_sent(event)
        if event.at < timezone.now() - KNOWN_FOR:
            return refuse(event, f"It is older than {KNOWN_FOR.days} days, and Stripe takes no event that is.")
        api.v1.billing.meter_events.create(
            {
                "event_name": stripe_client.event_name(event.meter),
                "identifier": event.identifier,
                "timestamp": int(event.at.timestamp()),
                "payload": {"stripe_customer_id": event.stripe_customer_id, "value": str(int(event.value))},
            },
            {"max_network_retries": 0},  # the outbox tries again
        )
    except stripe.InvalidRequestError as error:
        if TAKEN in str(error):
            return mark_sent(event)
        return refuse(event, error.user_message or str(error))
    except stripe.StripeError as error:
        log.warning("meter event %s was not sent: %s", event.identifier, error)
        note(event, error)
        return False
    return mark_sent(event)


def is_forgotten(event: MeterEvent) -> bool:
    """Whether Stripe may have it and wouldn't know it again by its identifier."""
    first = event.first_sent_at
    return event.attempts > 1 and first is not None and first < timezone.now() - REMEMBERED


def has(event: MeterEvent, api: Stripe) -> bool:
    """Whether Stripe's sum of the minute that is this event's alone holds anything."""
    return bool(stripe_client.summed(api, event.meter, event.stripe_customer_id, event.at, event.at + MINUTE))


def mark_sent(event: MeterEvent) -> bool:
    now = timezone.now()
    changed = MeterEvent.objects.filter(pk=event.pk, status=MeterEvent.Status.SENDING).update(
        status=MeterEvent.Status.SENT, sent_at=now, last_error=""
    )
    return bool(changed)


def refuse(event: MeterEvent, why: str) -> bool:
    log.error("Stripe refuses the meter event %s: %s", event.identifier, why)
    MeterEvent.objects.filter(pk=event.pk).update(status=MeterEvent.Status.REFUSED, last_error=why[:300])
    return False


def note(event: MeterEvent, error: Exception) -> None:
    MeterEvent.objects.filter(pk=event.pk).update(last_error=str(error)[:300])
