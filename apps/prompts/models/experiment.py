"""Trials of versions against each other on live traffic."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.tenants.owned import TenantOrDefault


class Experiment(TenantOrDefault):
    """Versions of one prompt, tried on those who ask: a workspace's own, or, without a tenant, everybody's who uses the
    default. Its arms and weights stay as they began: whoever has one of them keeps it."""

    prompt = models.ForeignKey("prompts.Prompt", on_delete=models.CASCADE, related_name="experiments")
    question = models.CharField("what it is to show", max_length=200, blank=True)
    started_at = models.DateTimeField(db_default=Now(), editable=False)
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    stopped_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "prompt"],
                name="experiment_one_at_a_time",
                nulls_distinct=False,
                condition=Q(stopped_at=None),
            )
        ]

    def __str__(self) -> str:
        return self.question or f"An experiment on {self.prompt.name}"


class ExperimentArm(TenantOrDefault):
    """One version of an experiment, and its share of those who ask: its weight of the weights of all arms."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="arms")
    version = models.ForeignKey("prompts.PromptVersion", on_delete=models.PROTECT, related_name="arms")
    position = models.PositiveSmallIntegerField()
    weight = models.PositiveSmallIntegerField()
    is_winner = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["experiment", "version"], name="experiment_arm_version"),
            models.UniqueConstraint(fields=["experiment", "position"], name="experiment_arm_position"),
            models.CheckConstraint(condition=Q(weight__gte=1, weight__lte=1000), name="experiment_arm_weight"),
        ]

    def __str__(self) -> str:
        return self.letter

    @property
    def letter(self) -> str:
        """A for the first arm, B for the second."""
        return chr(ord("A") + self.position - 1)


@dataclass(slots=True)
class Offered:
    """An arm of a running experiment, as a query of versions brings it along. Ids may come as text."""

    id: UUID
    experiment: UUID
    is_own: bool
    version: UUID
    weight: int

    def __post_init__(self) -> None:
        self.id, self.experiment, self.version = UUID(str(self.id)), UUID(str(self.experiment)), UUID(str(self.version))


def arm_of(offered: Sequence[Offered], *, has_own: bool, subject: object) -> Offered | None:
    """The arm that `subject` is in, always the same one; None outside of every experiment.

    A workspace's own experiment comes first. Everybody's is for those workspaces alone that use the default.
    """
    arms = [arm for arm in offered if arm.is_own]
    if not arms and not has_own:
        arms = [arm for arm in offered if not arm.is_own]
    if not arms:
        return None
    digest = hashlib.sha256(f"{arms[0].experiment}:{subject}".encode()).digest()
    place = int.from_bytes(digest[:8]) * sum(arm.weight for arm in arms) >> 64
    for arm in arms:
        place -= arm.weight
        if place < 0:
            return arm
    raise AssertionError("weights add up to less than their sum")
