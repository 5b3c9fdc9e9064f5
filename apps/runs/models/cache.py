"""Answers that may be given again."""

from decimal import Decimal

from django.db import models
from django.db.models.functions import Now
from pgvector.django import VectorField

from apps.tenants.owned import TenantOwned

from .run import Run


class CachedAnswer(TenantOwned):
    """An answer, and everything that must be the same for it to be given again to a similar question.

    `scope` is a digest of what the answer depends on: feature, prompt version, tier, models, what the workspace knew.
    `terms` is one of the question's own words that can change an answer. `context` is the caller's: what the answer's
    citations point at.
    """

    scope = models.CharField(max_length=64)
    terms = models.CharField(max_length=64)
    question = models.TextField()
    embedding = VectorField(dimensions=384)
    answer = models.TextField()
    context = models.JSONField(default=dict)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    cost_usd = models.DecimalField(max_digits=14, decimal_places=6, default=Decimal(0))
    hits = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "scope", "terms"], name="cached_answer_once")]
        indexes = [
            models.Index(fields=["tenant", "-created_at"], name="cached_answer_by_time"),
            models.Index(fields=["tenant", "run"], name="cached_answer_by_run"),
            models.Index(fields=["expires_at"], name="cached_answer_expiry"),
        ]

    def __str__(self) -> str:
        return self.question[:60]
