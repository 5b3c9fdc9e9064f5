"""The outbox: what was used, as Stripe is told it."""

from decimal import Decimal
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.tenants.owned import TenantManager, TenantOwned


class Meter(models.TextChoices):
    """What is counted, in whole numbers. `USAGE_USD` counts millionths of a dollar at the plan's mark-up."""

    USAGE_USD = "usage_usd", "Usage, in millionths of a dollar"
    USAGE_TOKENS = "usage_tokens", "Usage, in tokens"
    USAGE_RUNS = "usage_runs", "Usage, in answers"
    OWN_KEY_RUNS = "own_key_runs", "Answers through keys of the workspace’s own"


class MeterEvent(TenantOwned):
    """What one hour, which began at `hour`, added to a meter. Runs that ended later are in further events of that hour:
    the sum of an hour's events is what its runs come to. The `sequence` counts them, from 0.

    `identifier` follows from tenant, meter, customer, hour and sequence, so that Stripe takes an event once however
    often it is sent. `at` is the time that Stripe is told, a different minute for each event of an hour.
    `runs`, `tokens` and `cost_usd` are of the runs that it adds.
    """

    class Status(models.TextChoices):
        PENDING = "pending", "To be sent"
        SENDING = "sending", "Being sent"
        SENT = "sent", "Sent"
        REFUSED = "refused", "Refused by Stripe"
        UNBILLED = "unbilled", "Kept: nothing to charge, or nobody"

    OPEN = (Status.PENDING, Status.SENDING)

    meter = models.CharField(max_length=20, choices=Meter)
    hour = models.DateTimeField()
    sequence = models.PositiveIntegerField(default=0)
    identifier = models.CharField(max_length=100, unique=True)
    stripe_customer_id = models.CharField(max_length=80, blank=True)
    plan = models.CharField(max_length=40)
    generation = models.CharField(max_length=20)
    at = models.DateTimeField()
    value = models.DecimalField(max_digits=15, decimal_places=0)
    runs = models.IntegerField(default=0)
    tokens = models.BigIntegerField(default=0)
    cost_usd = models.DecimalField(max_digits=16, decimal_places=6, default=Decimal(0))
    status = models.CharField(max_length=8, choices=Status, default=Status.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    first_sent_at = models.DateTimeField(null=True)
    next_attempt_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects: ClassVar[Any] = TenantManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "meter", "stripe_customer_id", "plan", "generation", "hour", "sequence"],
                name="meter_event_once",
            ),
            models.CheckConstraint(condition=Q(status="sent") ^ Q(sent_at=None), name="meter_event_sent_has_a_time"),
            models.CheckConstraint(
                condition=Q(status="unbilled") ^ (~Q(stripe_customer_id="") & ~Q(value=0)), name="meter_event_charges"
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "hour"], name="meter_event_by_hour"),
            models.Index(
                fields=["next_attempt_at"], name="meter_event_open", condition=Q(status__in=["pending", "sending"])
            ),
        ]

    def __str__(self) -> str:
        return f"{self.meter} {self.hour:%Y-%m-%d %H:00} {self.value}"
