"""Every model call leaves one Run: who asked, what it said to which model, what it took and what it cost."""

import uuid
from decimal import Decimal
from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.tenants.models import Membership
from apps.tenants.owned import TenantManager, TenantOwned
from apps.tenants.permissions import Permission, allowed

from .gateway.errors import GatewayError
from .gateway.types import Price


class RunQuerySet(models.QuerySet["Run"]):
    def visible_to(self, membership: Membership) -> Self:
        """Every call of the workspace for who may see them all, one's own for others."""
        if allowed(membership, Permission.SEE_ALL_RUNS):
            return self.all()
        return self.filter(user_id=membership.user_id)


class Run(TenantOwned):
    """One call of a model. `provider` and `model` were asked first; `..._answered` say who did, after a fallback.

    Token counts are inclusive: cached and cache-write tokens are part of the input, reasoning part of the output.
    `cost_usd` is null while it runs and for a model without a price, which is shown and never counted as zero.
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

    class Payer(models.TextChoices):
        PLATFORM = "platform", "Platform"
        TENANT = "tenant", "Tenant's own key"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    kind = models.CharField(max_length=12, choices=Kind, default=Kind.COMPLETION)
    feature = models.CharField(max_length=40)
    prompt_version = models.ForeignKey("prompts.PromptVersion", null=True, on_delete=models.PROTECT, related_name="+")
    tier = models.CharField(max_length=20, default="standard")
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
    cost_usd = models.DecimalField(max_digits=14, decimal_places=6, null=True)
    latency_ms = models.PositiveIntegerField(null=True)
    ttft_ms = models.PositiveIntegerField("time to first token, ms", null=True)
    is_cached = models.BooleanField(default=False)
    attempts = models.JSONField(default=list)
    payer = models.CharField(max_length=8, choices=Payer, default=Payer.PLATFORM)
    request_id = models.CharField(max_length=120, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True)

    # What the call said and why it failed, for its caller; not stored here.
    text: str = ""
    error: GatewayError | None = None

    objects: ClassVar[Any] = TenantManager.from_queryset(RunQuerySet)()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "id"], name="run_tenant_id"),
            models.CheckConstraint(condition=Q(cost_usd__gte=0), name="run_cost_not_negative"),
            models.CheckConstraint(
                condition=Q(status="running", finished_at=None) | ~Q(status="running") & Q(finished_at__isnull=False),
                name="run_finished_has_a_time",
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "-created_at"], name="run_by_time"),
            models.Index(fields=["tenant", "user", "-created_at"], name="run_by_user"),
            models.Index(fields=["created_at"], name="run_open", condition=Q(status="running")),
        ]

    def __str__(self) -> str:
        return f"{self.feature} {self.model} {self.status}"


class ModelPriceQuerySet(models.QuerySet["ModelPrice"]):
    def of(self, provider: str, model: str, *, input_tokens: int = 0) -> "ModelPrice | None":
        """The price in force now for a request of that size, or None: such a call is unpriced, not free."""
        found = self.filter(provider=provider, model=model, valid_from__lte=Now(), min_input_tokens__lte=input_tokens)
        found = found.filter(Q(valid_to=None) | Q(valid_to__gt=Now()))
        return found.order_by("-min_input_tokens", "-valid_from").first()


class ModelPrice(models.Model):
    """US dollars per million tokens of one model from one day on; a long-context tier is a row of its own."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    provider = models.CharField(max_length=40)
    model = models.CharField(max_length=120)
    valid_from = models.DateField()
    valid_to = models.DateField(null=True, blank=True, help_text="The first day it no longer holds.")
    min_input_tokens = models.PositiveIntegerField(
        default=0, help_text="Holds for requests with at least this many input tokens."
    )
    input_usd = models.DecimalField("input, $ per million", max_digits=14, decimal_places=6)
    output_usd = models.DecimalField("output, $ per million", max_digits=14, decimal_places=6, default=Decimal(0))
    cache_read_usd = models.DecimalField(max_digits=14, decimal_places=6, null=True, blank=True)
    cache_write_usd = models.DecimalField(max_digits=14, decimal_places=6, null=True, blank=True)
    cache_write_1h_usd = models.DecimalField(max_digits=14, decimal_places=6, null=True, blank=True)
    source = models.CharField(max_length=80, blank=True)

    objects: ClassVar[Any] = ModelPriceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "model", "valid_from", "min_input_tokens"], name="model_price_once_a_day"
            ),
            models.CheckConstraint(condition=Q(input_usd__gte=0, output_usd__gte=0), name="model_price_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.model} from {self.valid_from}"

    def price(self) -> Price:
        return Price(
            input=self.input_usd,
            output=self.output_usd,
            cache_read=self.cache_read_usd,
            cache_write=self.cache_write_usd,
            cache_write_1h=self.cache_write_1h_usd,
        )
