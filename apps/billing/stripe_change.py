"""Changing a subscription at Stripe: now with what is owed for the rest of the period, or when the period ends."""

from typing import Any

import stripe

from . import stripe_client
from .checkout import parts_of, prices_of
from .models import Subscription
from .plan_files import Plan


def change_now(bought: Subscription, plan: Plan, seats: int) -> None:
    """The other plan from now on; what it costs more until the period ends is paid at once, or nothing changes.

    What is metered keeps its place, so that what was used this month is billed with what will be.
    """
    api = stripe_client.client()
    release(bought)
    items, prices = items_of(bought), prices_of(api, plan)
    wanted: list[Any] = []
    for part, price in prices.items():
        item: dict[str, Any] = {"price": price}
        if part in items:
            item["id"] = items.pop(part).id
        if part == "seat":
            item["quantity"] = seats
        wanted.append(item)
    wanted += [{"id": item.id, "deleted": True} for item in items.values()]
    api.v1.subscriptions.update(
        bought.stripe_subscription_id,
        {
            "items": wanted,
            "proration_behavior": "always_invoice",
            "payment_behavior": "error_if_incomplete",
            "cancel_at_period_end": False,
            "metadata": {"plan": plan.name, "generation": plan.generation},
        },
    )


def change_later(bought: Subscription, plan: Plan, seats: int) -> None:
    """The other plan when the period ends."""
    api = stripe_client.client()
    release(bought)
    if bought.cancel_at_period_end:
        api.v1.subscriptions.update(bought.stripe_subscription_id, {"cancel_at_period_end": False})
    schedule = api.v1.subscription_schedules.create({"from_subscription": bought.stripe_subscription_id})
    phase = schedule.phases[-1]
    until_then: dict[str, Any] = {
        "start_date": phase.start_date,
        "end_date": phase.end_date,
        "items": [as_before(item) for item in phase["items"]],
    }
    if phase.trial_end:
        until_then["trial_end"] = phase.trial_end
    params: Any = {
        "end_behavior": "release",
        "proration_behavior": "none",
        "metadata": {"next_plan": plan.name, "next_generation": plan.generation},
        "phases": [until_then, {"items": items_for(plan, prices_of(api, plan), seats)}],
    }
    api.v1.subscription_schedules.update(schedule.id, params)


def cancel_later(bought: Subscription) -> None:
    release(bought)
    stripe_client.client().v1.subscriptions.update(bought.stripe_subscription_id, {"cancel_at_period_end": True})


def cancel_now(bought: Subscription) -> None:
    """For a workspace that is being deleted: what was used is invoiced. One that has ended already is no error."""
    try:
        stripe_client.client().v1.subscriptions.cancel(bought.stripe_subscription_id, {"invoice_now": True})
    except stripe.InvalidRequestError as error:
        if error.http_status != 404:
            raise


def go_on(bought: Subscription, seats: int) -> None:
    """The same plan for so many seats, and beyond its period's end."""
    release(bought)
    seat = items_of(bought)["seat"]
    stripe_client.client().v1.subscriptions.update(
        bought.stripe_subscription_id,
        {
            "items": [{"id": seat.id, "quantity": seats}],
            "proration_behavior": "create_prorations",
            "cancel_at_period_end": False,
        },
    )


def release(bought: Subscription) -> None:
    """Nothing is to change when the period ends."""
    if bought.stripe_schedule_id:
        stripe_client.client().v1.subscription_schedules.release(bought.stripe_schedule_id)


def items_of(bought: Subscription) -> dict[str, stripe.SubscriptionItem]:
    found = stripe_client.client().v1.subscriptions.retrieve(bought.stripe_subscription_id)
    return {stripe_client.about(item.price).get("part", item.id): item for item in found["items"].auto_paging_iter()}


def items_for(plan: Plan, prices: dict[str, str], seats: int) -> list[Any]:
    return [{"price": prices[part], **({"quantity": seats} if part == "seat" else {})} for part in parts_of(plan)]


def as_before(item: Any) -> dict[str, Any]:
    price = item.price if isinstance(item.price, str) else item.price.id
    return {"price": price, **({"quantity": item.quantity} if item.quantity is not None else {})}
