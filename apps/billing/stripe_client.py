"""Stripe's own SDK, as this house uses it: one client, and what things of ours are called over there."""

from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

import stripe
from django.conf import settings

Stripe = stripe.StripeClient
PREFIX = "corbel"
TIMEOUT_S = 20
RETRIES = 2  # by the SDK, under one idempotency key


class NotSetUp(RuntimeError):
    """Something isn't there at Stripe that `manage.py stripe_sync` makes."""


def client() -> Stripe:
    """Raises NotSetUp without a key."""
    if not settings.STRIPE_SECRET_KEY:
        raise NotSetUp("STRIPE_SECRET_KEY is not set. Set it, or BILLING=local to try plans without anybody paying.")
    return client_for(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_URL)


@cache
def client_for(key: str, url: str) -> Stripe:
    return Stripe(
        key,
        base_addresses={"api": url, "meter_events": url, "files": url, "connect": url} if url else None,
        max_network_retries=RETRIES,
        http_client=stripe.RequestsClient(timeout=TIMEOUT_S),
    )


def event_name(meter: str) -> str:
    return f"{PREFIX}_{meter}"


def lookup_key(generation: str, plan: str, part: str) -> str:
    """Of a plan's price. part: seat, usage or own_keys."""
    return f"{PREFIX}_{generation}_{plan}_{part}"


def about(thing: Any) -> dict[str, str]:
    """What we wrote on it over there."""
    return dict(thing.metadata.to_dict()) if thing.metadata else {}


_meter_ids: dict[tuple[str, str], str] = {}


def meter_id(api: Stripe, meter: str) -> str:
    """Raises NotSetUp."""
    key = (settings.STRIPE_SECRET_KEY + settings.STRIPE_API_URL, meter)
    if key not in _meter_ids:
        for found in api.v1.billing.meters.list({"limit": 100, "status": "active"}).auto_paging_iter():
            _meter_ids[key[0], found.event_name.removeprefix(f"{PREFIX}_")] = found.id
    if key not in _meter_ids:
        raise NotSetUp(f"Stripe has no meter {event_name(meter)}. Run `manage.py stripe_sync`.")
    return _meter_ids[key]


def summed(api: Stripe, meter: str, customer: str, begin: datetime, end: datetime) -> Decimal:
    """Stripe's own sum of a customer's events from `begin` until before `end`, both whole minutes."""
    found = api.v1.billing.meters.event_summaries.list(
        meter_id(api, meter),
        {"customer": customer, "start_time": int(begin.timestamp()), "end_time": int(end.timestamp()), "limit": 100},
    )
    return sum((Decimal(str(each.aggregated_value)) for each in found.auto_paging_iter()), Decimal(0))
