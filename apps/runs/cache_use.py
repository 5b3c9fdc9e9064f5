"""What giving answers again has spared, read from the runs."""

from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Count, Q, QuerySet, Sum

from .models import Run

GIVEN = Q(kind=Run.Kind.COMPLETION, purpose=Run.Purpose.ANSWER, status=Run.Status.OK)


@dataclass(frozen=True, slots=True)
class CacheUse:
    """`answers` were given, `cached` of them had been written before, which would have cost `saved_usd`."""

    answers: int
    cached: int
    saved_usd: Decimal

    @property
    def percent(self) -> int:
        """The share of answers that came from the cache, rounded; 0 without any."""
        return round(100 * self.cached / self.answers) if self.answers else 0


def cache_use(runs: QuerySet[Run]) -> CacheUse:
    sums = runs.filter(GIVEN).aggregate(
        answers=Count("id"), cached=Count("id", filter=Q(is_cached=True)), saved_usd=Sum("saved_usd")
    )
    return CacheUse(sums["answers"], sums["cached"], sums["saved_usd"] or Decimal(0))
