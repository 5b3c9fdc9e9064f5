"""What the active workspace may have, asked by the name of a feature or a limit, never by that of a plan.

    entitlements.has("silo")
    entitlements.limit("seats")

Where billing is off (BILLING=off, the default without a Stripe key) there are no plans: every feature, no limit.
"""

from dataclasses import asdict

from django.conf import settings

from apps.tenants.features import FEATURES

from . import plan_files
from .models import Subscription
from .plan_files import Plan


def is_off() -> bool:
    return bool(settings.BILLING == "off")


def subscription() -> Subscription | None:
    """The active workspace's own, or None for one that has bought nothing. Raises NoTenant."""
    found: Subscription | None = Subscription.objects.first()
    return found


def plan_of(subscription: Subscription | None) -> Plan:
    """The plan that holds: what was bought while it is in force, else the newest free one. Raises UnknownPlan."""
    if subscription and subscription.is_in_force:
        return plan_files.find(subscription.plan, subscription.generation)
    return plan_files.newest()[plan_files.FREE]


def plan() -> Plan:
    """The plan that holds for the active workspace. Raises NoTenant."""
    return plan_of(subscription())


def has(feature: str) -> bool:
    """Whether the active workspace has a feature of `apps.tenants.features`. Raises KeyError for any other name."""
    if feature not in FEATURES:
        raise KeyError(feature)
    return is_off() or feature in plan().features


def limit(name: str) -> int | None:
    """How much of it the active workspace may have, None for no limit: `seats`, or a number among a plan's limits.

    Raises KeyError for any other name.
    """
    if is_off():
        return None
    bought = subscription()
    return limits_of(plan_of(bought), bought)[name]


def limits_of(plan: Plan, bought: Subscription | None) -> dict[str, int | None]:
    """Every limit by name. The seats are those that were bought, at least those that the plan includes."""
    numbers = {name: value for name, value in asdict(plan.limits).items() if not isinstance(value, str)}
    return {**numbers, "seats": seats_of(plan, bought)}


def seats_of(plan: Plan, bought: Subscription | None) -> int:
    wanted = bought.seats if bought and bought.is_in_force else 0
    most = plan.seats.most or wanted
    return max(plan.seats.included, min(wanted, most))
