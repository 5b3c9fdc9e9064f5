"""Many questions at once: a file's rows, each sent through the same steps.

A batch's rows are claimed by workers for as long as a lease lasts, so that those of a killed worker are claimed again.
A step of a row has one result, however often it was tried: that is a constraint of the database.
"""

from decimal import Decimal
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.tenants.models import Tier
from apps.tenants.owned import TenantOwned

from .price import Processing


class Batch(TenantOwned):
    """`pause_code` says why a batch paused by itself, empty if somebody paused it; `resumes_at` when it goes on by
    itself. `worst_usd` is what it could cost at most when it was planned, `cap_usd` what was agreed to at its start.
    Failures in a row are counted from `resumed_at`. One `worker` at a time works at it, and until `worked_until` unless
    it says otherwise.
    """

    class Status(models.TextChoices):
        DRAFT = "draft", "Draft"
        RUNNING = "running", "Running"
        PAUSED = "paused", "Paused"
        DONE = "done", "Done"
        CANCELLED = "cancelled", "Cancelled"

    class Mode(models.TextChoices):
        NOW = "now", "Now"
        WITHIN_A_DAY = "within_a_day", "Within 24 hours, at half the price"

    name = models.CharField(max_length=120)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    started_at = models.DateTimeField(null=True)
    resumed_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    status = models.CharField(max_length=9, choices=Status, default=Status.DRAFT)
    pause_code = models.CharField(max_length=40, blank=True)
    pause_message = models.CharField(max_length=400, blank=True)
    resumes_at = models.DateTimeField(null=True)
    source_name = models.CharField(max_length=255, blank=True)
    columns = models.JSONField(default=list)
    mode = models.CharField(max_length=12, choices=Mode, default=Mode.NOW)
    row_count = models.PositiveIntegerField(default=0)
    worst_usd = models.DecimalField(max_digits=16, decimal_places=6, default=Decimal(0))
    cap_usd = models.DecimalField("at most, $", max_digits=16, decimal_places=6, null=True)
    worker = models.UUIDField(null=True, editable=False)
    worked_until = models.DateTimeField(null=True, editable=False)

    FINISHED: ClassVar[tuple[Status, ...]] = (Status.DONE, Status.CANCELLED)

    class Meta:
        verbose_name_plural = "batches"
        constraints = [
            models.UniqueConstraint(fields=["tenant", "id"], name="batch_tenant_id"),
            models.CheckConstraint(condition=Q(cap_usd__gte=0), name="batch_cap_not_negative"),
        ]
        indexes = [
            models.Index(fields=["tenant", "-created_at"], name="batch_by_time"),
            models.Index(fields=["status"], name="batch_open", condition=Q(status__in=("running", "paused"))),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_over(self) -> bool:
        return self.status in self.FINISHED

    @property
    def processing(self) -> Processing:
        return Processing.BATCH if self.mode == self.Mode.WITHIN_A_DAY else Processing.ONLINE


class BatchStep(TenantOwned):
    """What every row is asked, in its place: one version of a prompt, and where its variables come from.

    mapping: variable -> {"column": name} | {"step": position, "field": name or ""} | {"text": constant}.
    condition: None, or {"column": name, "is": test, "value": text}, or the same with "step" and "field" instead of
    "column": a row for which it doesn't hold skips the step. tier: "" leaves it to the version, then to routing.
    """

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="steps", db_constraint=False)
    position = models.PositiveSmallIntegerField()
    label = models.CharField(max_length=80, blank=True)
    prompt_version = models.ForeignKey("prompts.PromptVersion", on_delete=models.PROTECT, related_name="+")
    mapping = models.JSONField(default=dict)
    condition = models.JSONField(null=True)
    tier = models.CharField(max_length=8, choices=Tier, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "id"], name="batch_step_tenant_id"),
            models.UniqueConstraint(fields=["batch", "position"], name="batch_step_once"),
        ]

    def __str__(self) -> str:
        return self.label or f"Step {self.position}"

    @property
    def output_schema(self) -> dict[str, Any] | None:
        return self.prompt_version.output_schema


class BatchRow(TenantOwned):
    """One row of the file. The `worker` that claims it has it until `claimed_until`, and alone may say how it ended;
    one that waits isn't claimed before that. `attempts` counts the claims since it was last told to begin anew.
    `worst_usd` is what it could cost at most when the batch was planned."""

    class Status(models.TextChoices):
        WAITING = "waiting", "Waiting"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        SKIPPED = "skipped", "Skipped"
        CANCELLED = "cancelled", "Cancelled"

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="rows", db_constraint=False)
    number = models.PositiveIntegerField()
    input = models.JSONField(default=dict)
    status = models.CharField(max_length=9, choices=Status, default=Status.WAITING)
    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.CharField(max_length=400, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    claimed_until = models.DateTimeField(null=True)
    worker = models.UUIDField(null=True, editable=False)
    finished_at = models.DateTimeField(null=True)
    worst_usd = models.DecimalField(max_digits=14, decimal_places=6, default=Decimal(0))

    said: list["BatchResult"]  # what stands already, where a claim brings it along

    OPEN: ClassVar[tuple[Status, ...]] = (Status.WAITING, Status.RUNNING)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "id"], name="batch_row_tenant_id"),
            models.UniqueConstraint(fields=["batch", "number"], name="batch_row_once"),
        ]
        indexes = [
            models.Index(fields=["batch", "status"], name="batch_row_by_status"),
            models.Index(
                fields=["batch", "number"],
                name="batch_row_open",
                condition=Q(status__in=("waiting", "running")),
            ),
            models.Index(
                fields=["batch", "-finished_at"], name="batch_row_by_end", condition=Q(finished_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"Row {self.number}"


class BatchResult(TenantOwned):
    """What came of one step for one row: exactly one of them, whatever was killed meanwhile."""

    class Status(models.TextChoices):
        OK = "ok", "OK"
        FAILED = "failed", "Failed"
        SKIPPED = "skipped", "Skipped"

    row = models.ForeignKey(BatchRow, on_delete=models.CASCADE, related_name="results", db_constraint=False)
    step = models.ForeignKey(BatchStep, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    run = models.ForeignKey("runs.Run", null=True, on_delete=models.SET_NULL, related_name="+", db_constraint=False)
    status = models.CharField(max_length=7, choices=Status)
    text = models.TextField(blank=True)
    value = models.JSONField(null=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["row", "step"], name="batch_result_once")]

    def __str__(self) -> str:
        return f"{self.status}: {self.text[:60]}"
