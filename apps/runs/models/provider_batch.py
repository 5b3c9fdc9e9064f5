"""Files that a provider answers within a day: what each one holds, and how far it is."""

from decimal import Decimal
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.tenants.owned import TenantOwned

from ..gateway.types import Price, Target

PRICES = ("input", "output", "cache_read", "cache_write", "cache_write_1h")


class ProviderBatch(TenantOwned):
    """The rows of one step of a batch that go to one model as one file. `prices` held when it was begun, and settle it.

    What is `ready` was surely not sent. What is `sending` may have been: the provider is asked before it is sent again.
    `tried_ids` looked like it there, and were others'. Something is to be done about an open one at `due_at`, by the
    one worker that claims it.
    """

    class Status(models.TextChoices):
        READY = "ready", "Ready to be sent"
        SENDING = "sending", "Being sent"
        SENT = "sent", "With the provider"
        DONE = "done", "Done"
        EXPIRED = "expired", "Ended with its day, in part"
        CANCELLED = "cancelled", "Cancelled"
        FAILED = "failed", "Refused as a whole"
        LOST = "lost", "Never heard of again"

    batch = models.ForeignKey("runs.Batch", on_delete=models.CASCADE, related_name="files", db_constraint=False)
    step = models.ForeignKey("runs.BatchStep", on_delete=models.CASCADE, related_name="+", db_constraint=False)
    provider = models.CharField(max_length=40)
    model = models.CharField(max_length=120)
    is_own_account = models.BooleanField("through the workspace's own account", default=False)
    provider_key = models.ForeignKey(
        "tenants.ProviderKey", null=True, on_delete=models.SET_NULL, related_name="+", db_constraint=False
    )
    prices = models.JSONField(default=list)
    status = models.CharField(max_length=9, choices=Status, default=Status.READY)
    external_id = models.CharField(max_length=120, blank=True)
    tried_ids = models.JSONField(default=list)
    line_count = models.PositiveIntegerField(default=0)
    size_bytes = models.PositiveBigIntegerField(default=0)
    succeeded = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.CharField(max_length=400, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    sending_at = models.DateTimeField(null=True)
    submitted_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField("asked to be cancelled", null=True)
    expires_at = models.DateTimeField(null=True)
    polled_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)
    claimed_until = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    OPEN: ClassVar[tuple[Status, ...]] = (Status.READY, Status.SENDING, Status.SENT)

    class Meta:
        verbose_name_plural = "provider batches"
        constraints = [models.UniqueConstraint(fields=["tenant", "id"], name="provider_batch_tenant_id")]
        indexes = [
            models.Index(fields=["batch"], name="provider_batch_by_batch"),
            models.Index(
                fields=["due_at"], name="provider_batch_due", condition=Q(status__in=("ready", "sending", "sent"))
            ),
            models.Index(fields=["external_id"], name="provider_batch_known_as", condition=~Q(external_id="")),
        ]

    def __str__(self) -> str:
        return f"{self.target}: {self.get_status_display()}"

    @property
    def target(self) -> Target:
        return Target(self.provider, self.model)

    @property
    def is_over(self) -> bool:
        return self.status not in self.OPEN

    def price_list(self) -> tuple[Price, ...]:
        return tuple(
            Price(
                **{name: None if row[name] is None else Decimal(row[name]) for name in PRICES},
                min_input_tokens=row["min_input_tokens"],
            )
            for row in self.prices
        )


class ProviderLine(TenantOwned):
    """One row's request in a file, known there by its run's id. `outcome` is empty until it is settled, then "ok" or
    the code of what went wrong. A step of a row is in one open file at most."""

    provider_batch = models.ForeignKey(
        ProviderBatch, on_delete=models.CASCADE, related_name="lines", db_constraint=False
    )
    row = models.ForeignKey("runs.BatchRow", on_delete=models.CASCADE, related_name="lines", db_constraint=False)
    step = models.ForeignKey("runs.BatchStep", on_delete=models.CASCADE, related_name="+", db_constraint=False)
    run = models.OneToOneField("runs.Run", on_delete=models.CASCADE, related_name="line", db_constraint=False)
    outcome = models.CharField(max_length=40, blank=True)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["row", "step"], name="provider_line_once", condition=Q(settled_at__isnull=True)
            )
        ]
        indexes = [
            models.Index(fields=["provider_batch"], name="provider_line_open", condition=Q(settled_at__isnull=True))
        ]

    def __str__(self) -> str:
        return self.outcome or "open"

    @property
    def custom_id(self) -> str:
        return str(self.run_id.hex)  # type: ignore[attr-defined]


def as_json(price: Price) -> dict[str, Any]:
    said = {name: None if (usd := getattr(price, name)) is None else str(usd) for name in PRICES}
    return {**said, "min_input_tokens": price.min_input_tokens}
