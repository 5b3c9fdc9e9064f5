"""What a workspace's runs come to, hour by hour, in the units that its plans bill.

A run counts in the hour it began in, once it has ended, under the plan that held then. One whose process died counts
when it turns out what it really took. What was called through keys of the workspace's own is in OWN_KEY_RUNS alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, NamedTuple

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import TruncHour

from apps.runs.models import Run

from . import plan_files
from .models import PlanPeriod
from .models.meter_event import Meter
from .plan_files import Bills

MILLION = Decimal(1_000_000)
OPEN = (Run.Status.RUNNING, Run.Status.LOST)
# What somebody asked and was answered, not what was asked on the way to it.
IS_ANSWER = Q(
    kind=Run.Kind.COMPLETION,
    purpose=Run.Purpose.ANSWER,
    parent=None,
    status__in=(Run.Status.OK, Run.Status.STOPPED),
)


class Key(NamedTuple):
    """What one hour's events are added up by."""

    meter: Meter
    customer: str
    plan: str
    generation: str
    hour: datetime


@dataclass(frozen=True, slots=True)
class Amount:
    """`value` in the meter's unit; `runs`, `tokens` and `cost_usd` of all the runs behind it, answers or not."""

    value: Decimal = Decimal(0)
    runs: int = 0
    tokens: int = 0
    cost_usd: Decimal = Decimal(0)

    def __sub__(self, other: "Amount") -> "Amount":
        return Amount(
            self.value - other.value,
            self.runs - other.runs,
            self.tokens - other.tokens,
            self.cost_usd - other.cost_usd,
        )

    def __add__(self, other: "Amount") -> "Amount":
        return self - (Amount() - other)

    def __bool__(self) -> bool:
        return self != Amount()


def ended(begin: datetime, end: datetime) -> "QuerySet[Run]":
    """The active workspace's runs that began from `begin` until before `end`, and have ended."""
    return Run.objects.filter(created_at__gte=begin, created_at__lt=end).exclude(status__in=OPEN)


def sums() -> dict[str, Sum | Count]:
    """Tokens are counted as the ledger does: not those of embeddings."""
    return {
        "all_runs": Count("id"),
        "answers": Count("id", filter=IS_ANSWER),
        "tokens": Sum(F("input_tokens") + F("output_tokens"), filter=Q(kind=Run.Kind.COMPLETION), default=0),
        "cost": Sum("cost_usd", default=Decimal(0)),
    }


def by_hour(begin: datetime, end: datetime) -> dict[Key, Amount]:
    """What the active workspace's runs of these hours come to. Plans that bill nothing are left out."""
    found: dict[Key, Amount] = {}
    for period in PlanPeriod.objects.filter(Q(ends_at=None) | Q(ends_at__gt=begin), starts_at__lt=end):
        bills = plan_files.find(period.plan, period.generation).bills
        if bills is None:
            continue
        first, last = max(begin, period.starts_at), min(end, period.ends_at or end)
        rows = ended(first, last).annotate(hour=TruncHour("created_at")).values("hour", "payer").annotate(**sums())
        for row in rows:
            for meter, amount in metered(bills, dict(row)):
                key = Key(meter, period.stripe_customer_id, period.plan, period.generation, row["hour"])
                found[key] = found.get(key, Amount()) + amount
    return found


def metered(bills: Bills, row: Mapping[str, Any]) -> Iterator[tuple[Meter, Amount]]:
    """What one payer's runs of one hour come to. Raises nothing: what isn't billed is on no meter."""
    runs, tokens, cost = row["all_runs"], row["tokens"], row["cost"]
    if row["payer"] == Run.Payer.TENANT:
        if bills.fee_usd_per_1000_runs:
            yield Meter.OWN_KEY_RUNS, Amount(Decimal(row["answers"]), runs, tokens, cost)
        return
    counted = {"usd": at_markup(cost, bills.markup), "tokens": Decimal(tokens), "runs": Decimal(row["answers"])}
    yield bills.meter, Amount(counted[bills.unit], runs, tokens, cost)


def at_markup(cost_usd: Decimal, markup: Decimal) -> Decimal:
    """In millionths of a dollar, to the nearest whole one."""
    return (cost_usd * markup * MILLION).quantize(Decimal(1), ROUND_HALF_EVEN)
