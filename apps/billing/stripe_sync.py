"""What Stripe must have for our plans: meters, products, prices. Compared with what it has, and made where it differs.

Each is found again by a name of ours (a meter's event name, a product's id, a price's lookup key), so doing it twice
makes nothing twice. An amount can't be changed there: a price that differs is replaced by another, which takes its
lookup key, and whoever bought the old one keeps it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, Literal

import stripe

from . import plan_files, stripe_client
from .checkout import parts_of
from .models.meter_event import Meter
from .plan_files import Bills, Plan
from .stripe_client import PREFIX, NotSetUp, Stripe

CENTS = 100


@dataclass(frozen=True, slots=True)
class Change:
    """One thing and what is to be done about it; `make` does it. `detail`: what differs."""

    kind: Literal["same", "create", "update", "replace"]
    thing: str
    detail: str
    make: Callable[[], Any]


def nothing() -> None:
    pass


def compare(api: Stripe) -> Iterator[Change]:
    """What differs, in the order in which it must be made. Each is looked at when the one before it was made.

    Raises stripe.StripeError.
    """
    yield from meters(api)
    for plans in plan_files.generations().values():
        for plan in plans.values():
            if not plan.is_free:
                yield from products(api, plan)
                yield from prices(api, plan)


def meters(api: Stripe) -> Iterator[Change]:
    there = {each.event_name: each for each in api.v1.billing.meters.list({"limit": 100}).auto_paging_iter()}
    for meter in Meter:
        name = stripe_client.event_name(meter)
        found = there.get(name)
        if found is None:
            params: Any = {
                "display_name": meter.label,
                "event_name": name,
                "default_aggregation": {"formula": "sum"},
                "customer_mapping": {"type": "by_id", "event_payload_key": "stripe_customer_id"},
                "value_settings": {"event_payload_key": "value"},
            }
            yield Change("create", f"meter {name}", meter.label, partial(api.v1.billing.meters.create, params))
        elif found.display_name != meter.label:
            detail = f"display_name: {found.display_name} → {meter.label}"
            yield Change(
                "update",
                f"meter {name}",
                detail,
                partial(api.v1.billing.meters.update, found.id, {"display_name": meter.label}),
            )
        else:
            yield Change("same", f"meter {name}", "", nothing)


def products(api: Stripe, plan: Plan) -> Iterator[Change]:
    wanted = [product_of(plan, part) for part in parts_of(plan)]
    ids = [each["id"] for each in wanted]
    there = {each.id: each for each in api.v1.products.list({"ids": ids, "limit": 100}).auto_paging_iter()}
    for params in wanted:
        found = there.get(params["id"])
        values = {name: value for name, value in params.items() if name != "id"}
        if found is None:
            yield Change(
                "create",
                f"product {params['id']}",
                params["name"],
                partial(api.v1.products.create, params),
            )
        elif differing := differences(found, values):
            detail = "; ".join(f"{name}: {found.to_dict().get(name)} → {value}" for name, value in differing.items())
            yield Change(
                "update",
                f"product {found.id}",
                detail,
                partial(api.v1.products.update, found.id, differing),
            )
        else:
            yield Change("same", f"product {found.id}", "", nothing)


def differences(found: stripe.Product, values: dict[str, Any]) -> Any:
    there = found.to_dict()
    return {name: value for name, value in values.items() if there.get(name) != value}


def product_of(plan: Plan, part: str) -> Any:
    names = {
        "seat": plan.label,
        "usage": f"{plan.label}: use",
        "own_keys": f"{plan.label}: answers through your own keys",
    }
    params: dict[str, Any] = {"id": stripe_client.lookup_key(plan.generation, plan.name, part), "name": names[part]}
    if part == "seat":
        params |= {"description": plan.summary, "unit_label": "seat"}
    return {**params, "active": True, "metadata": about(plan, part)}


def about(plan: Plan, part: str) -> dict[str, str]:
    return {"app": PREFIX, "plan": plan.name, "generation": plan.generation, "part": part}


def prices(api: Stripe, plan: Plan) -> Iterator[Change]:
    keys = [stripe_client.lookup_key(plan.generation, plan.name, part) for part in parts_of(plan)]
    found = api.v1.prices.list({"lookup_keys": keys, "active": True, "expand": ["data.tiers"], "limit": 100})
    there = {price.lookup_key: price for price in found}
    for part, key in zip(parts_of(plan), keys, strict=True):
        params = price_of(api, plan, part)
        before = there.get(key)
        if before is None:
            yield Change("create", f"price {key}", said(params), partial(api.v1.prices.create, params))
        elif (was := comparable(before.to_dict())) != (wanted := comparable(params)):
            yield Change(
                "replace",
                f"price {key}",
                "; ".join(f"{name}: {was[name]} → {wanted[name]}" for name in wanted if was[name] != wanted[name]),
                partial(replace, api, before, params),
            )
        else:
            yield Change("same", f"price {key}", "", nothing)


def price_of(api: Stripe, plan: Plan, part: str) -> Any:
    key = stripe_client.lookup_key(plan.generation, plan.name, part)
    params: dict[str, Any] = {
        "currency": "usd",
        "product": key,
        "lookup_key": key,
        "metadata": about(plan, part),
        "recurring": {"interval": "month", "usage_type": "licensed"},
    }
    if part == "seat":
        return {**params, "billing_scheme": "per_unit", "unit_amount_decimal": plain(plan.price_usd * CENTS)}
    bills = plan.bills
    assert bills is not None  # `parts_of` names these parts for plans that bill
    meter = bills.meter if part == "usage" else Meter.OWN_KEY_RUNS
    params["recurring"] = {
        "interval": "month",
        "usage_type": "metered",
        "meter": meter_for(api, meter),
    }
    if part == "own_keys":
        return {**params, "billing_scheme": "per_unit", "unit_amount_decimal": plain(bills.usd_per_own_key_run * CENTS)}
    return {**params, **tiers(bills, plan.included_usd)}


def meter_for(api: Stripe, meter: Meter) -> str:
    try:
        return stripe_client.meter_id(api, meter)
    except NotSetUp:
        return "to be made"  # where nothing is made, it isn't there yet


def tiers(bills: Bills, included_usd: Decimal) -> dict[str, Any]:
    """What is included costs nothing, what is beyond it the price of a unit."""
    each = plain(bills.usd_per_unit * CENTS)
    included = int(included_usd / bills.usd_per_unit) if bills.usd_per_unit else 0
    if not included:
        return {"billing_scheme": "per_unit", "unit_amount_decimal": each}
    first = {"up_to": included, "unit_amount_decimal": "0"}
    rest = {"up_to": "inf", "unit_amount_decimal": each}
    return {"billing_scheme": "tiered", "tiers_mode": "graduated", "tiers": [first, rest]}


def replace(api: Stripe, before: stripe.Price, params: Any) -> None:
    params["transfer_lookup_key"] = True
    api.v1.prices.create(params)
    api.v1.prices.update(before.id, {"active": False})


def comparable(price: dict[str, Any]) -> dict[str, Any]:
    """What makes a price what it is, the same for one that we want and one that Stripe has."""
    recurring = price["recurring"]
    return {
        "currency": price["currency"],
        "product": price["product"],
        "interval": recurring["interval"],
        "usage_type": recurring["usage_type"],
        "meter": recurring.get("meter"),
        "billing_scheme": price["billing_scheme"],
        "tiers_mode": price.get("tiers_mode"),
        "amount": plain(price.get("unit_amount_decimal")),
        "tiers": [
            ("inf" if tier["up_to"] in (None, "inf") else int(tier["up_to"]), plain(tier["unit_amount_decimal"]))
            for tier in price.get("tiers") or []
        ],
        "metadata": dict(price["metadata"]),
    }


def plain(amount: Any) -> str:
    """An amount of cents without an exponent and without zeros at its end; empty for none."""
    if amount in (None, ""):
        return ""
    text = f"{Decimal(str(amount)):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def said(params: dict[str, Any]) -> str:
    """ "2400 ¢ a month", as the operator reads it."""
    if "tiers" in params:
        first, rest = params["tiers"]
        return f"{first['up_to']:,} units included, then {rest['unit_amount_decimal']} ¢ each"
    return f"{params['unit_amount_decimal']} ¢ each, by the month"
