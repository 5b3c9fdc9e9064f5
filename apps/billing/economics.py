"""What a workspace used and what it cost, read from its runs."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db.models import Count, F, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from apps.runs.cache_use import CacheUse, cache_use
from apps.runs.models import Run


@dataclass(frozen=True, slots=True)
class Usage:
    """One calendar month, in UTC. Runs without a price are counted, never guessed into the cost."""

    month: date
    days: list[dict[str, Any]]
    by_feature: list[dict[str, Any]]
    by_user: list[dict[str, Any]]
    total_cost_usd: Decimal
    unpriced_runs: int
    cache: CacheUse


def this_month(runs: QuerySet[Run], now: datetime | None = None) -> Usage:
    begin = (now or timezone.now()).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    runs = runs.filter(created_at__gte=begin)
    unpriced = runs.filter(cost_usd=None).exclude(status__in=(Run.Status.RUNNING, Run.Status.LOST))
    return Usage(
        month=begin.date(),
        days=sums(runs.annotate(date=TruncDate("created_at")), "date").order_by("date"),
        by_feature=sums(runs, "feature"),
        by_user=sums(runs.annotate(email=F("user__email")), "email"),
        total_cost_usd=runs.aggregate(total=Sum("cost_usd"))["total"] or Decimal(0),
        unpriced_runs=unpriced.count(),
        cache=cache_use(runs),
    )


def sums(runs: QuerySet[Run], key: str) -> Any:
    grouped = runs.values(key).annotate(
        runs=Count("id"), tokens=Sum(F("input_tokens") + F("output_tokens")), cost_usd=Sum("cost_usd")
    )
    return grouped.order_by("-runs")
