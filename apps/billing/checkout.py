"""Stripe's own pages: where a plan is paid for, and where cards, addresses and invoices are kept."""

from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.tenants.models import Tenant, User

from . import plan_files, stripe_client
from .models import Subscription
from .plan_files import Plan
from .stripe_client import NotSetUp, Stripe


def customer_of(tenant: Tenant, owner: User) -> str:
    """The id of the workspace's customer at Stripe, made there if there is none yet. Needs the workspace's context."""
    with transaction.atomic():
        bought = Subscription.objects.select_for_update().first() or unbought()
        if not bought.stripe_customer_id:
            customer = stripe_client.client().v1.customers.create(
                {"name": tenant.name, "email": owner.email, "metadata": {"workspace": str(tenant.id)}},
                {"idempotency_key": f"customer-{tenant.id}"},
            )
            bought.stripe_customer_id = customer.id
            bought.save()
        return bought.stripe_customer_id


def unbought() -> Subscription:
    """A row for who has bought nothing yet: the free plan."""
    free = plan_files.newest()[plan_files.FREE]
    return Subscription(plan=free.name, generation=free.generation, as_of=timezone.now())


def prices_of(api: Stripe, plan: Plan) -> dict[str, str]:
    """The ids of a plan's prices by their part. Raises NotSetUp."""
    keys = {part: stripe_client.lookup_key(plan.generation, plan.name, part) for part in parts_of(plan)}
    found = {
        price.lookup_key: price.id for price in api.v1.prices.list({"lookup_keys": [*keys.values()], "active": True})
    }
    if missing := [key for key in keys.values() if key not in found]:
        raise NotSetUp(f"Stripe has no price {missing[0]}. Run `manage.py stripe_sync`.")
    return {part: found[key] for part, key in keys.items()}


def parts_of(plan: Plan) -> list[str]:
    """What a plan is billed by: seats, use, and answers through keys of the workspace's own."""
    if plan.bills is None:
        return ["seat"]
    return ["seat", "usage", *(["own_keys"] if plan.bills.fee_usd_per_1000_runs else [])]


def checkout_url(plan: Plan, seats: int, tenant: Tenant, owner: User, *, done_url: str, back_url: str) -> str:
    """The address of Stripe's page for paying. Raises stripe.StripeError, NotSetUp.

    done_url: where the payer comes back to. back_url: where whoever doesn't pay does.
    """
    api = stripe_client.client()
    customer = customer_of(tenant, owner)
    prices = prices_of(api, plan)
    bought = Subscription.objects.get()
    items: list[Any] = [{"price": prices.pop("seat"), "quantity": seats}]
    items += [{"price": price} for price in prices.values()]  # of what is metered there is no quantity
    about = {"workspace": str(tenant.id), "plan": plan.name, "generation": plan.generation}
    subscription: dict[str, Any] = {"metadata": about}
    if plan.trial_days and not bought.has_had_trial:
        subscription["trial_period_days"] = plan.trial_days
        subscription["trial_settings"] = {"end_behavior": {"missing_payment_method": "cancel"}}
    params: Any = {
        "mode": "subscription",
        "customer": customer,
        "client_reference_id": str(tenant.id),
        "line_items": items,
        "subscription_data": subscription,
        "allow_promotion_codes": True,
        "metadata": about,
        "success_url": done_url,
        "cancel_url": back_url,
    }
    if settings.STRIPE_AUTOMATIC_TAX:
        params["automatic_tax"] = {"enabled": True}
        params["tax_id_collection"] = {"enabled": True}
        params["customer_update"] = {"address": "auto", "name": "auto"}
    session = api.v1.checkout.sessions.create(params)
    if not session.url:
        raise NotSetUp("Stripe gave no address of its payment page. Look at the settings of Checkout there.")
    return session.url


def portal_url(customer: str, *, back_url: str) -> str:
    """The address of Stripe's page for cards, addresses and invoices. Raises stripe.StripeError."""
    made = stripe_client.client().v1.billing_portal.sessions.create({"customer": customer, "return_url": back_url})
    return made.url
