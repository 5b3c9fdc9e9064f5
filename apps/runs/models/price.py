"""What models cost."""

import uuid
from decimal import Decimal
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from ..gateway.types import Price


class Processing(models.TextChoices):
    """How a request is sent: one by one, or in a file that is answered within a day."""

    ONLINE = "online", "At once"
    BATCH = "batch", "Within 24 hours"


class ModelPriceQuerySet(models.QuerySet["ModelPrice"]):
    def of(
        self, provider: str, model: str, *, input_tokens: int = 0, processing: Processing = Processing.ONLINE
    ) -> "ModelPrice | None":
        """The price in force now for a request of that size, or None: such a call is unpriced, not free."""
        found = self.filter(provider=provider, model=model, processing=processing)
        found = found.filter(Q(valid_to=None) | Q(valid_to__gt=Now()), valid_from__lte=Now())
        found = found.filter(min_input_tokens__lte=input_tokens)
        return found.order_by("-min_input_tokens", "-valid_from").first()


class ModelPrice(models.Model):
    """US dollars per million tokens of one model from one day on. A long-context tier is a row of its own, and so is a
    price for files that are answered within a day: a model without one isn't asked so."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    provider = models.CharField(max_length=40)
    model = models.CharField(max_length=120)
    processing = models.CharField(max_length=6, choices=Processing, default=Processing.ONLINE)
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
                fields=["provider", "model", "processing", "valid_from", "min_input_tokens"],
                name="model_price_once_a_day",
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
            min_input_tokens=self.min_input_tokens,
        )
