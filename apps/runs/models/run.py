"""Every model call leaves one Run: who asked, what it said to which model, what it took and what it cost."""

import uuid
from decimal import Decimal
from typing import Any, ClassVar, Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.tenants.models import Membership
from apps.tenants.owned import TenantManager, TenantOwned
from apps.tenants.permissions import Permission, allowed


class RunQuerySet(models.QuerySet["Run"]):
    def visible_to(self, membership: Membership) -> Self:
        """Every call of the workspace for who may see them all, one's own for others."""
        if allowed(membership, Permission.SEE_ALL_RUNS):
            return self.all()
        return self.filter(user_id=membership.user_id)


class Run(TenantOwned):
    """One call of a model. `provider` and `model` were asked first; `..._answered` say who did, after a fallback.

    Token counts are inclusive: cached and cache-write tokens are part of the input, reasoning part of the output.
    They and `cost_usd`, null while it runs, are of all its attempts together. `reserved_usd` and `reserved_tokens`
    are what it could have taken at most; budgets hold them until it is closed, which is the ledger's to do.
    A call made for another one (to classify, judge or repair it) has that one as its `parent`. One for a row of a batch
    has the `batch`, and so have those made for it.
    """

    class Kind(models.TextChoices):
        COMPLETION = "completion", "Completion"
        EMBEDDING = "embedding", "Embedding"

    class Status(models.TextChoices):
        RUNNING = "running", "Running"
        OK = "ok", "OK"
        STOPPED = "stopped", "Stopped by the reader"
        REFUSED = "refused", "Refused"
        FAILED = "failed", "Failed"
        LOST = "lost", "Lost: its process died"

    class Purpose(models.TextChoices):
        ANSWER = "answer", "Answer"
        CLASSIFY = "classify", "Choose a model"
        JUDGE = "judge", "Judge a cheap answer"
        REPAIR = "repair", "Repair a malformed answer"
        MODERATE = "moderate", "Moderate"

    class Payer(models.TextChoices):
        PLATFORM = "platform", "Platform"
        TENANT = "tenant", "Tenant's own key"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    kind = models.CharField(max_length=12, choices=Kind, default=Kind.COMPLETION)
    api_key = models.ForeignKey(
        "tenants.ApiKey", null=True, on_delete=models.SET_NULL, related_name="+", db_constraint=False
    )
    parent = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="+", db_constraint=False)
    purpose = models.CharField(max_length=8, choices=Purpose, default=Purpose.ANSWER)
    batch = models.ForeignKey("runs.Batch", null=True, on_delete=models.SET_NULL, related_name="+", db_constraint=False)
    feature = models.CharField(max_length=40)
    prompt_version = models.ForeignKey("prompts.PromptVersion", null=True, on_delete=models.PROTECT, related_name="+")
    experiment_arm = models.ForeignKey("prompts.ExperimentArm", null=True, on_delete=models.SET_NULL, related_name="+")
    tier = models.CharField(max_length=20, default="standard")
    route_reason = models.CharField("why this tier", max_length=200, blank=True)
    provider = models.CharField(max_length=40)
    model = models.CharField(max_length=120)
    provider_answered = models.CharField(max_length=40, blank=True)
    model_answered = models.CharField(max_length=120, blank=True)
    status = models.CharField(max_length=8, choices=Status, default=Status.RUNNING)
    error_code = models.CharField(max_length=40, blank=True)
    input_tokens = models.PositiveIntegerField(default=0)
    cached_tokens = models.PositiveIntegerField(default=0)
    cache_write_tokens = models.PositiveIntegerField(default=0)
    output_tokens = models.PositiveIntegerField(default=0)
    reasoning_tokens = models.PositiveIntegerField(default=0)
    is_estimated = models.BooleanField(default=False, help_text="The provider sent no usage; tokens were bounded here.")
    reserved_usd = models.DecimalField(max_digits=14, decimal_places=6, default=Decimal(0))
    reserved_tokens = models.PositiveBigIntegerField(default=0)
    cost_usd = models.DecimalField(max_digits=14, decimal_places=6, null=True)
    latency_ms = models.PositiveIntegerField(null=True)
    ttft_ms = models.PositiveIntegerField("time to first token, ms", null=True)
    is_cached = models.BooleanField("answered from the cache", default=False)
    cached_from = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="+", db_constraint=False)
    saved_usd = models.DecimalField("saved by the cache", max_digits=14, decimal_places=6, default=Decimal(0))
    attempts = models.JSONField(default=list)
    payer = models.CharField(max_length=8, choices=Payer, default=Payer.PLATFORM)
    provider_key = models.ForeignKey(
        "tenants.ProviderKey", null=True, on_delete=models.SET_NULL, related_name="+", db_constraint=False
    )
    flags = ArrayField(
        models.CharField(max_length=40), default=list, help_text="What the guard noticed, such as injection."
    )
    request_id = models.CharField(max_length=120, blank=True)
    rating = models.SmallIntegerField(
        null=True, choices=[(1, "Helpful"), (-1, "Not helpful")], help_text="What its reader said of it."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True)

    # What the call said and why it failed, for its caller; not stored here.
    text: str = ""
    error: Exception | None = None
    value: Any = None  # of a call with a schema: the validated object
    context: dict[str, Any] | None = None  # of a cached answer: what its first caller stored beside it
    made_before: tuple[uuid.UUID, ...] = ()  # runs that were made for this one before it was written
    cached_answer: Any = None  # of one: the CachedAnswer that was given again
    finish_reason: str = ""

    objects: ClassVar[Any] = TenantManager.from_queryset(RunQuerySet)()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "id"], name="run_tenant_id"),
            models.CheckConstraint(condition=Q(cost_usd__gte=0), name="run_cost_not_negative"),
            models.CheckConstraint(condition=Q(rating__in=(1, -1)), name="run_rating_up_or_down"),
            models.CheckConstraint(
                condition=Q(status="running", finished_at=None) | ~Q(status="running") & Q(finished_at__isnull=False),
                name="run_finished_has_a_time",
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "-created_at"], name="run_by_time"),
            models.Index(fields=["tenant", "user", "-created_at"], name="run_by_user"),
            models.Index(fields=["tenant", "api_key", "-created_at"], name="run_by_api_key"),
            models.Index(fields=["tenant", "-created_at"], name="run_flagged", condition=~Q(flags=[])),
            models.Index(fields=["created_at"], name="run_open", condition=Q(status="running")),
            models.Index(fields=["batch"], name="run_by_batch", condition=Q(batch__isnull=False)),
            models.Index(
                fields=["experiment_arm"], name="run_by_experiment_arm", condition=Q(experiment_arm__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.feature} {self.model} {self.status}"

    @property
    def subject(self) -> uuid.UUID | None:
        """Who asks, for an experiment to tell them apart: a person, else an API key."""
        return self.user_id or self.api_key_id  # type: ignore[attr-defined,no-any-return]
