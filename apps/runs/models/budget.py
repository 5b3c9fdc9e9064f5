"""How much may be spent, and what has been: read and written by the database's own functions, in one statement."""

from decimal import Decimal
from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.tenants.owned import TenantOwned


class Scope(models.TextChoices):
    """Whose calls are counted together. In the order in which their rows are locked."""

    WORKSPACE = "workspace", "The whole workspace"
    USER = "user", "One person"
    FEATURE = "feature", "One feature"
    API_KEY = "api_key", "One API key"


class Budget(TenantOwned):
    """The most that a scope may cost in a day or a month, in UTC.

    `subject` names one of its scope: a user's id, a feature, an API key's id; empty means each of them, except those
    with a budget of their own. Of the workspace it is always empty. From `soft_percent` on the workspace is told, or
    its calls take cheap models. A hard one is never exceeded: a call that could is refused before it is made.
    """

    class Period(models.TextChoices):
        DAY = "day", "A day"
        MONTH = "month", "A month"

    class SoftAction(models.TextChoices):
        NOTIFY = "notify", "Tell owners and admins"
        DEGRADE = "degrade", "Tell them, and use cheap models"

    scope = models.CharField(max_length=9, choices=Scope, default=Scope.WORKSPACE)
    subject = models.CharField(max_length=60, blank=True)
    period = models.CharField(max_length=5, choices=Period, default=Period.MONTH)
    cap_usd = models.DecimalField(
        "at most, $", max_digits=14, decimal_places=6, validators=[MinValueValidator(Decimal("0.000001"))]
    )
    soft_percent = models.PositiveSmallIntegerField(
        default=80, validators=[MinValueValidator(1), MaxValueValidator(100)]
    )
    soft_action = models.CharField(max_length=7, choices=SoftAction, default=SoftAction.NOTIFY)
    is_hard = models.BooleanField("refuse calls beyond it", default=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "id"], name="budget_tenant_id"),
            models.UniqueConstraint(fields=["tenant", "scope", "subject", "period"], name="budget_once"),
            models.CheckConstraint(condition=Q(cap_usd__gt=0), name="budget_cap_positive"),
            models.CheckConstraint(condition=Q(soft_percent__range=(1, 100)), name="budget_soft_percent"),
            models.CheckConstraint(condition=~Q(scope="workspace") | Q(subject=""), name="budget_workspace_is_one"),
        ]

    def __str__(self) -> str:
        return f"{self.get_scope_display()}, {self.get_period_display().lower()}: ${self.cap_usd.normalize():f}"


class Spend(TenantOwned):
    """What one subject of a scope has spent, and has reserved, in the UTC day and month under way.

    A later day or month begins them at zero again; what was is in the runs. Of the workspace `subject` is empty.
    """

    scope = models.CharField(max_length=9, choices=Scope)
    subject = models.CharField(max_length=60, blank=True)
    day = models.DateField()
    day_usd = models.DecimalField(max_digits=16, decimal_places=6, default=Decimal(0))
    day_reserved_usd = models.DecimalField(max_digits=16, decimal_places=6, default=Decimal(0))
    day_tokens = models.BigIntegerField(default=0)
    day_reserved_tokens = models.BigIntegerField(default=0)
    month = models.DateField(help_text="Its first day.")
    month_usd = models.DecimalField(max_digits=16, decimal_places=6, default=Decimal(0))
    month_reserved_usd = models.DecimalField(max_digits=16, decimal_places=6, default=Decimal(0))

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "scope", "subject"], name="spend_once")]

    def __str__(self) -> str:
        return f"{self.scope} {self.subject} {self.day}"


class Alert(TenantOwned):
    """A budget reached its soft limit, or 50, 80 or 100 % of its cap, in one period. Mailed once, at `sent_at`."""

    PERCENTS: ClassVar[tuple[int, ...]] = (50, 80, 100)

    budget = models.ForeignKey(Budget, on_delete=models.CASCADE, related_name="alerts", db_constraint=False)
    subject = models.CharField(max_length=60, blank=True)
    period_start = models.DateField()
    percent = models.PositiveSmallIntegerField()
    spent_usd = models.DecimalField(max_digits=16, decimal_places=6)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "budget", "subject", "period_start", "percent"], name="alert_once_a_period"
            )
        ]
        indexes = [models.Index(fields=["created_at"], name="alert_unsent", condition=Q(sent_at=None))]

    def __str__(self) -> str:
        return f"{self.percent} % of {self.budget_id}"
