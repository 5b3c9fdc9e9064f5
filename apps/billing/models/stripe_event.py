"""What Stripe told us, as it said it."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class StripeEvent(models.Model):
    """One webhook event. It is nobody's: the web may store one and read none, and operators see them all.

    `workspace` is the id of the tenant whose customer it turned out to be about. `error` is why it couldn't be
    processed the last time.
    """

    id = models.CharField(primary_key=True, max_length=120)
    type = models.CharField(max_length=120)
    created = models.DateTimeField()
    payload = models.JSONField()
    workspace = models.UUIDField(null=True)
    received_at = models.DateTimeField(db_default=Now())
    processed_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(db_default=Now())
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["-received_at"], name="stripe_event_by_time"),
            models.Index(fields=["next_attempt_at"], name="stripe_event_open", condition=Q(processed_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.id}"
