"""Which models a tier is made of."""

from django.db import models

from apps.tenants.models import Tier
from apps.tenants.owned import TenantOrDefault


class ModelRoute(TenantOrDefault):
    """One choice of a tier: its models are asked by `position`, lowest first, until one answers.

    A tenant's own routes of a tier replace everybody's. `provider` is a name from the installation's settings or of one
    of the workspace's own accounts. A request that could have more tokens than `context_tokens` passes it by.
    """

    tier = models.CharField(max_length=8, choices=Tier, default=Tier.STANDARD)
    position = models.PositiveSmallIntegerField(default=1)
    provider = models.CharField(max_length=40)
    model = models.CharField(max_length=120)
    context_tokens = models.PositiveIntegerField(null=True, blank=True)
    is_on = models.BooleanField("in use", default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "tier", "provider", "model"], name="route_once", nulls_distinct=False
            )
        ]

    def __str__(self) -> str:
        return f"{self.tier}: {self.provider}/{self.model}"
