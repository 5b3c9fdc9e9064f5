"""What the active workspace has used in its month so far, and what that comes to beside what is included."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Max
from django.utils import timezone

from . import meter
from .models import PlanPeriod, Subscription
from .models.meter_event import Meter
from .plan_files import Plan
from .used import Amount, Key, by_hour

CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class SoFar:
    """Dollars are what is charged, at the plan's mark-up. `seats_usd` is of a whole month."""

    since: datetime
    used_usd: Decimal
    included_usd: Decimal
    own_key_runs: int
    own_keys_usd: Decimal
    seats_usd: Decimal

    @property
    def beyond_usd(self) -> Decimal:
        return max(self.used_usd - self.included_usd, Decimal(0))

    @property
    def percent(self) -> int:
        """How much of what is included is used, 100 at most."""
        if not self.included_usd:
            return 100 if self.used_usd else 0
        return min(100, int(100 * self.used_usd / self.included_usd))

    @property
    def total_usd(self) -> Decimal:
        return (self.seats_usd + self.beyond_usd + self.own_keys_usd).quantize(CENT)


def so_far(plan: Plan, bought: Subscription, now: datetime | None = None) -> SoFar:
    """Hours that are in the outbox are read there, and the others from the runs: never behind, and soon read."""
    now = now or timezone.now()
    since = bought.period_start or now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    settled = PlanPeriod.objects.aggregate(at=Max("metered_until"))["at"] or since
    edge = max(meter.hour_of(since), meter.hour_of(settled))
    amounts: dict[Key, Amount] = {key: amount for key, (amount, _) in meter.said(meter.hour_of(since), edge).items()}
    amounts |= by_hour(edge, now)
    mine = {
        key: amount for key, amount in amounts.items() if (key.plan, key.generation) == (plan.name, plan.generation)
    }
    counted = {each: sum((a.value for key, a in mine.items() if key.meter == each), Decimal(0)) for each in Meter}
    bills = plan.bills
    return SoFar(
        since=since,
        used_usd=counted[bills.meter] * bills.usd_per_unit if bills else Decimal(0),
        included_usd=plan.included_usd,
        own_key_runs=int(counted[Meter.OWN_KEY_RUNS]),
        own_keys_usd=counted[Meter.OWN_KEY_RUNS] * bills.usd_per_own_key_run if bills else Decimal(0),
        seats_usd=plan.price_usd * bought.seats,
    )
