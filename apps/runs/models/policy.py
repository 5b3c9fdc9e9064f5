"""How one workspace wants its models called."""

from decimal import Decimal

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from apps.tenants.models import Tier
from apps.tenants.owned import TenantOwned


class Policy(TenantOwned):
    """One row for each workspace that wants other than the defaults; those are the fields' own."""

    class Routing(models.TextChoices):
        HEURISTIC = "heuristic", "By the request: its feature, length and kind"
        CLASSIFIER = "classifier", "Ask a small model first how hard the request is"
        CASCADE = "cascade", "Let a cheap model answer, judge itself, and hand on what it isn't sure of"
        FORCED = "forced", "Always the same tier"

    class OnBreak(models.TextChoices):
        RESTART = "restart", "Begin again with the next model"
        PARTIAL = "partial", "Keep what was said"

    class Guard(models.TextChoices):
        FLAG = "flag", "Note it in the log"
        BLOCK = "block", "Refuse the request"

    routing = models.CharField(max_length=10, choices=Routing, default=Routing.HEURISTIC)
    forced_tier = models.CharField(max_length=8, choices=Tier, default=Tier.STANDARD)
    cascade_threshold = models.DecimalField(
        "sure enough from",
        max_digits=3,
        decimal_places=2,
        default=Decimal("0.70"),
        validators=[MinValueValidator(0), MaxValueValidator(1)],
    )
    on_break = models.CharField("when an answer breaks off", max_length=7, choices=OnBreak, default=OnBreak.RESTART)
    cache_is_on = models.BooleanField("answer the same question from the cache", default=True)
    cache_threshold = models.DecimalField(
        "similar enough from",
        max_digits=3,
        decimal_places=2,
        default=Decimal("0.95"),
        validators=[MinValueValidator(Decimal("0.90")), MaxValueValidator(1)],
    )
    cache_hours = models.PositiveIntegerField("hours an answer is kept", default=24)
    on_injection = models.CharField(
        "a question that tries to take over", max_length=5, choices=Guard, default=Guard.FLAG
    )
    on_moderation = models.CharField("what moderation objects to", max_length=5, choices=Guard, default=Guard.BLOCK)
    moderates = models.BooleanField("have questions and answers moderated by the provider", default=False)
    max_input_chars = models.PositiveIntegerField("longest request in characters", default=400_000)

    class Meta:
        verbose_name_plural = "policies"
        constraints = [models.UniqueConstraint(fields=["tenant"], name="policy_once")]

    def __str__(self) -> str:
        return "How models are called"
