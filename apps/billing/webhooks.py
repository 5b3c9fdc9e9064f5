"""What Stripe tells us: stored as it comes, then worked off.

    store     signature and age are checked, one row is written, Stripe gets its answer
    process   in the background: whose customer it is about, and that workspace follows Stripe's state

An event that is told twice is one row. Which one comes first doesn't matter: `apps.billing.follow`.
"""

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import stripe
from django.conf import settings
from django.db.models import F, QuerySet
from django.utils import timezone

from apps.tenants.context import tenant_id_context
from apps.tenants.platform import require_platform

from .follow import follow
from .models import StripeEvent, Subscription

log = logging.getLogger(__name__)

OLDEST_S = 300  # since it was signed: what is older may be a replay
AT_ONCE = 500
MOST_ATTEMPTS = 12
FIRST_WAIT = timedelta(seconds=30)
# What changes what a workspace has bought, or whether it was paid.
FOLLOWED = ("checkout.session.", "customer.subscription.", "invoice.", "subscription_schedule.")


class NotStripes(Exception):
    """Its signature isn't that of any of our endpoint's secrets, or is too old."""


def store(body: bytes, signature: str) -> str:
    """Write down an event that Stripe signed; returns its id. Raises NotStripes.

    One insert by a role that may do no more than that. One that is known already changes nothing.
    """
    said = verified(body, signature)
    row = StripeEvent(
        id=said["id"], type=said["type"], created=datetime.fromtimestamp(said["created"], UTC), payload=said
    )
    StripeEvent.objects.bulk_create([row], ignore_conflicts=True)
    return row.id


def verified(body: bytes, signature: str) -> dict[str, Any]:
    for secret in settings.STRIPE_WEBHOOK_SECRETS:
        try:
            stripe.WebhookSignature.verify_header(body.decode("utf-8", "replace"), signature, secret, OLDEST_S)
        except stripe.SignatureVerificationError:
            continue
        try:
            said: dict[str, Any] = json.loads(body)
            if said["object"] == "event" and isinstance(said["id"], str) and said["data"]["object"]["object"]:
                return said
        except (ValueError, KeyError, TypeError):
            log.exception("a signed webhook is no event")
        break
    raise NotStripes


def process(*, limit: int = AT_ONCE, now: datetime | None = None) -> int:
    """Work off what is due of everybody's; returns how many events are done. A workspace follows once for all of its.

    What fails is due again later, each time after twice as long, and is given up after a day or so: an operator can
    have it done again from the platform's admin.
    """
    now = now or timezone.now()
    due = StripeEvent.objects.using(require_platform()).filter(
        processed_at=None, next_attempt_at__lte=now, attempts__lt=MOST_ATTEMPTS
    )
    about: dict[UUID | None, list[StripeEvent]] = {}
    whose: dict[str, UUID | None] = {}
    for event in due.order_by("created", "id")[:limit]:
        about.setdefault(workspace_of(event, whose), []).append(event)
    return sum(work_off(workspace, events, now) for workspace, events in about.items())


def work_off(workspace: UUID | None, events: list[StripeEvent], now: datetime) -> int:
    """The events of one workspace, or those of none."""
    rows = StripeEvent.objects.using(require_platform()).filter(pk__in=[event.pk for event in events])
    is_followed = any(event.type.startswith(FOLLOWED) for event in events)
    try:
        if workspace and is_followed:
            with tenant_id_context(workspace):
                follow()
    except Exception as error:
        log.exception("Stripe’s events of the workspace %s could not be processed", workspace)
        for event in events:
            again = now + FIRST_WAIT * 2**event.attempts
            rows.filter(pk=event.pk).update(
                attempts=F("attempts") + 1, next_attempt_at=again, error=str(error)[:300], workspace=workspace
            )
        return 0
    return mark_done(rows, workspace)


def mark_done(rows: "QuerySet[StripeEvent]", workspace: UUID | None) -> int:
    done = rows.filter(processed_at=None)
    return done.update(processed_at=timezone.now(), attempts=F("attempts") + 1, error="", workspace=workspace)


def workspace_of(event: StripeEvent, known: dict[str, UUID | None]) -> UUID | None:
    """Whose customer it is about, by our own record of customers and not by what the event says of workspaces."""
    customer = customer_in(event.payload["data"]["object"])
    if not customer:
        return None
    if customer not in known:
        theirs = Subscription.unscoped.using(require_platform()).filter(stripe_customer_id=customer)
        known[customer] = theirs.values_list("tenant_id", flat=True).first()
    return known[customer]


def customer_in(thing: dict[str, Any]) -> str:
    customer = thing.get("id") if thing.get("object") == "customer" else thing.get("customer")
    return customer.get("id", "") if isinstance(customer, dict) else customer or ""


def replay(ids: list[str]) -> int:
    """Have these done again, by an operator; returns how many. Done twice they change nothing."""
    rows = StripeEvent.objects.using(require_platform()).filter(pk__in=ids)
    return rows.update(processed_at=None, attempts=0, next_attempt_at=timezone.now(), error="")
