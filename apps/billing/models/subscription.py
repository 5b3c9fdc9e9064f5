"""What a workspace has bought, and which terms held when."""

from typing import Any, ClassVar

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from apps.tenants.owned import TenantManager, TenantOwned


class Subscription(TenantOwned):
    """What a workspace has bought: a plan of one generation, for so many seats. Without a row, the newest free plan.

    While it isn't in force, the free plan holds, whatever `plan` says. `next_plan` follows when the
    period ends, of `next_generation`. Payment has failed since `past_due_since`, and is tried again at
    `next_payment_at`. Where there is a customer of Stripe's, all of it is what Stripe said `as_of` then.
    """

    class Status(models.TextChoices):
        TRIALING = "trialing", "On trial"
        ACTIVE = "active", "Active"
        PAST_DUE = "past_due", "Payment failed"
        UNPAID = "unpaid", "Unpaid"
        CANCELLED = "cancelled", "Cancelled"

    IN_FORCE = (Status.TRIALING, Status.ACTIVE, Status.PAST_DUE)

    plan = models.CharField(max_length=40)
    generation = models.CharField(max_length=20)
    status = models.CharField(max_length=9, choices=Status, default=Status.ACTIVE)
    seats = models.PositiveIntegerField(default=1)
    stripe_customer_id = models.CharField(max_length=80, blank=True)
    stripe_subscription_id = models.CharField(max_length=80, blank=True)
    stripe_schedule_id = models.CharField(max_length=80, blank=True)
    has_had_trial = models.BooleanField(default=False)
    trial_ends_at = models.DateTimeField(null=True)
    period_start = models.DateTimeField(null=True)
    period_end = models.DateTimeField(null=True)
    next_plan = models.CharField(max_length=40, blank=True)
    next_generation = models.CharField(max_length=20, blank=True)
    cancel_at_period_end = models.BooleanField(default=False)
    past_due_since = models.DateTimeField(null=True)
    next_payment_at = models.DateTimeField(null=True)
    as_of = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects: ClassVar[Any] = TenantManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant"], name="subscription_once"),
            models.UniqueConstraint(
                fields=["stripe_customer_id"], condition=~Q(stripe_customer_id=""), name="subscription_of_customer"
            ),
            models.CheckConstraint(condition=Q(seats__gte=1), name="subscription_has_a_seat"),
        ]
        indexes = [models.Index(fields=["period_end"], name="subscription_by_end")]

    def __str__(self) -> str:
        return f"{self.plan} {self.generation} {self.status}"

    @property
    def is_in_force(self) -> bool:
        return self.status in self.IN_FORCE


class PlanPeriod(TenantOwned):
    """From when to when a plan held: what was used in between is billed by it, and to that customer of Stripe's.

    A workspace without one has always had the newest free plan. Without a customer nobody is charged. What was used
    before `metered_until` is in the outbox.
    """

    plan = models.CharField(max_length=40)
    generation = models.CharField(max_length=20)
    stripe_customer_id = models.CharField(max_length=80, blank=True)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True)
    metered_until = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant"], condition=Q(ends_at=None), name="plan_period_under_way_once"),
            models.CheckConstraint(condition=Q(ends_at=None) | Q(ends_at__gte=F("starts_at")), name="plan_period_ends"),
        ]
        indexes = [models.Index(fields=["tenant", "starts_at"], name="plan_period_by_time")]

    def __str__(self) -> str:
        return f"{self.plan} {self.generation} from {self.starts_at:%Y-%m-%d %H:%M}"
