"""A plan takes effect: its limits are written to the workspace's own row, and the period in which it holds is begun."""

from dataclasses import asdict
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from apps.tenants.audit import record
from apps.tenants.context import require_tenant_id
from apps.tenants.models import Tenant

from . import entitlements
from .models import PlanPeriod, Subscription
from .plan_files import Plan

COLUMNS = {field.name for field in Tenant._meta.concrete_fields}


@transaction.atomic
def apply(bought: Subscription | None, *, ended_at: datetime | None = None) -> Plan:
    """Have the active workspace's row and periods say what it has bought; returns the plan that holds now.

    Doing it again changes nothing. ended_at: when the plan before ended, if that was earlier than now.
    """
    plan = entitlements.plan_of(bought)
    values = {name: value for name, value in asdict(plan.limits).items() if name in COLUMNS}
    values |= {"seats": entitlements.seats_of(plan, bought), "features": sorted(plan.features)}
    tenants = Tenant.objects.filter(pk=require_tenant_id())
    if any(written != values[name] for name, written in tenants.values(*values).get().items()):
        tenants.update(**values)
    begin_period(plan, bought, ended_at)
    return plan


def begin_period(plan: Plan, bought: Subscription | None, ended_at: datetime | None) -> None:
    """End the period under way and begin another, if what holds is different from what held."""
    customer = bought.stripe_customer_id if bought and bought.is_in_force and bought.stripe_subscription_id else ""
    now = timezone.now()
    before = PlanPeriod.objects.select_for_update().filter(ends_at=None).first()
    if before is None and plan.is_free:
        return
    if before and (before.plan, before.generation, before.stripe_customer_id) == (plan.name, plan.generation, customer):
        return
    at = now
    if before:
        at = max(before.starts_at, min(ended_at or now, now))
        before.ends_at = at
        before.save(update_fields=["ends_at"])
    PlanPeriod.objects.create(
        plan=plan.name, generation=plan.generation, stripe_customer_id=customer, starts_at=at, metered_until=at
    )
    if before is None or (before.plan, before.generation) != (plan.name, plan.generation):
        record("plan.changed", bought, plan=plan.label, generation=plan.generation)
