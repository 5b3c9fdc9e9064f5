"""What becomes of rated answers: cases that are asked again, and reports of what answers were worth by day."""

from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.runs.models import Run
from apps.tenants.owned import TenantOwned

from .conversation import Message


class EvalCase(TenantOwned):
    """A question with what its answer must hold. Approved, it is asked anew every night.

    Question, answer and sources are copies without personal data, but for the names of files, by which a right answer
    is known: they stay when the conversation is deleted.
    `sources` are what the answer cited: [{"number", "file", "title", "heading", "quote"}]. `contains` are texts that a
    right answer has, in any case, and `cites` names of files; or it `refuses`. `expected` is for people and for judges.
    """

    class State(models.TextChoices):
        DRAFT = "draft", "Draft"
        APPROVED = "approved", "Approved"
        REJECTED = "rejected", "Rejected"

    message = models.ForeignKey(Message, null=True, on_delete=models.SET_NULL, related_name="+", db_constraint=False)
    run = models.ForeignKey(Run, null=True, on_delete=models.SET_NULL, related_name="+", db_constraint=False)
    state = models.CharField(max_length=8, choices=State, default=State.DRAFT)
    question = models.TextField()
    answer = models.TextField(blank=True)
    sources = models.JSONField(default=list)
    expected = models.TextField(blank=True)
    contains = ArrayField(models.TextField(), default=list, blank=True)
    cites = ArrayField(models.CharField(max_length=255), default=list, blank=True)
    refuses = models.BooleanField(default=False)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    reviewed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    reviewed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "message"], name="eval_case_once_per_message"),
            models.CheckConstraint(
                condition=~Q(state="approved") | Q(refuses=True) | ~Q(contains=[]) | ~Q(cites=[]),
                name="eval_case_approved_asserts_something",
            ),
            models.CheckConstraint(
                condition=Q(refuses=False) | Q(contains=[], cites=[]), name="eval_case_refuses_or_answers"
            ),
        ]
        indexes = [models.Index(fields=["tenant", "state", "-created_at"], name="eval_case_by_state")]

    def __str__(self) -> str:
        return self.question[:60]

    @property
    def asserts(self) -> list[dict[str, Any]]:
        """As a suite's file has them."""
        if self.refuses:
            return [{"type": "refuses"}]
        found: list[dict[str, Any]] = [{"type": "icontains", "value": text} for text in self.contains]
        found += [{"type": "cites", "value": name} for name in self.cites]
        if self.expected:
            found.append({"type": "judged", "value": f"It says the same as this: {self.expected}"})
        return found


class EvalReport(TenantOwned):
    """What a day's answers were worth, and the approved cases asked that night. It holds numbers, no texts.

    `scores` are by metric: {"grounded": {"n", "mean", "low", "high", "values"}}, intervals of 95 %. `drift` are the
    metrics that fell since the week before: [{"metric", "before", "now", "low", "high"}], the change's interval.
    `prompt_versions` are those live then, by name: {"answer": {"id", "label"}}. `failed_cases` are ids.
    """

    day = models.DateField()
    revision = models.CharField(max_length=40)
    prompt_versions = models.JSONField(default=dict)
    answers = models.PositiveIntegerField(default=0)
    sampled = models.PositiveIntegerField(default=0)
    cases = models.PositiveIntegerField(default=0)
    failed_cases = ArrayField(models.UUIDField(), default=list)
    scores = models.JSONField(default=dict)
    drift = models.JSONField(default=list)
    mailed_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "day"], name="eval_report_once_a_day")]

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d}"
