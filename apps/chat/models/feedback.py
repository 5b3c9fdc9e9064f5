"""What people thought of an answer."""

from django.core.validators import MaxLengthValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.runs.models import Run
from apps.tenants.owned import TenantOwned

from .conversation import Message

MAX_COMMENT_CHARS = 2_000


class Feedback(TenantOwned):
    """A thumb on an answer, and perhaps why: on a message by whom it was written for, on a run by the program that
    made it. To give it is to show question and answer to the workspace's owners and admins.

    `Run.rating` is a copy, for who compares runs.
    """

    class Rating(models.IntegerChoices):
        UP = 1, "Good"
        DOWN = -1, "Bad"

    class Reason(models.TextChoices):
        WRONG = "wrong", "It is wrong"
        UNSUPPORTED = "unsupported", "The documents don’t say that"
        INCOMPLETE = "incomplete", "Something is missing"
        OUTDATED = "outdated", "It is out of date"
        OTHER = "other", "Something else"

    message = models.ForeignKey(
        Message, null=True, on_delete=models.CASCADE, related_name="feedback", db_constraint=False
    )
    run = models.ForeignKey(Run, null=True, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    rating = models.SmallIntegerField(choices=Rating)
    reason = models.CharField(max_length=12, choices=Reason, blank=True)
    comment = models.TextField(blank=True, validators=[MaxLengthValidator(MAX_COMMENT_CHARS)])
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "message"], name="feedback_once_per_message"),
            models.UniqueConstraint(
                fields=["tenant", "run"], condition=Q(message=None), name="feedback_once_per_programs_run"
            ),
            models.CheckConstraint(
                condition=Q(message__isnull=False) | Q(run__isnull=False), name="feedback_is_on_something"
            ),
            models.CheckConstraint(condition=Q(rating__in=[-1, 1]), name="feedback_is_a_thumb"),
            models.CheckConstraint(condition=Q(rating=-1) | Q(reason=""), name="feedback_reason_is_of_a_thumb_down"),
        ]
        indexes = [models.Index(fields=["tenant", "-updated_at"], name="feedback_by_time")]

    def __str__(self) -> str:
        return self.get_rating_display()
