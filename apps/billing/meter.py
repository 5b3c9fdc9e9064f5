"""From runs to the outbox: each hour's events come to what its runs come to, however often this is done.

An hour is looked at once it is over. What its runs come to, less what its events say already, is a further event: of
runs that ended late, as a rule. So nothing has to be remembered of a run, and none can be in two events. Hours before
`PlanPeriod.metered_until` are left alone, except by who asks for them.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count, Max, Min, Q, Sum
from django.utils import timezone

from apps.runs.models import Run
from apps.tenants.context import require_tenant_id

from . import entitlements
from .models import MeterEvent, PlanPeriod
from .models.meter_event import Meter
from .used import Amount, Key, by_hour

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
SETTLED = timedelta(minutes=2)  # after an hour's end, by when whatever began in it is written
INVOICED = timedelta(hours=1)  # after a period's end, when Stripe makes its invoice final
KNOWN_FOR = timedelta(days=35)  # how old an event may be that Stripe takes


def closed(now: datetime | None = None) -> datetime:
    """The end of the last hour that is over."""
    return hour_of((now or timezone.now()) - SETTLED)


def hour_of(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def meter(*, begin: datetime | None = None, end: datetime | None = None) -> list[MeterEvent]:
    """Write the events that the active workspace's hours lack; returns them.

    begin, end: hours to look at again, such as those before a correction. Without them, those that aren't settled.
    """
    with transaction.atomic():
        take_turn(require_tenant_id())
        until = min(end or closed(), closed())
        since = (
            begin
            or PlanPeriod.objects.filter(Q(ends_at=None) | Q(metered_until__lt=until)).aggregate(
                since=Min("metered_until")
            )["since"]
        )
        if since is None or hour_of(since) >= until:
            return []
        events = write(by_hour(hour_of(since), until), said(hour_of(since), until))
        if begin is None:
            settle(until)
    return events


def take_turn(tenant_id: UUID) -> None:
    """Nobody else meters this workspace until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 7))", [str(tenant_id)])


def settle(until: datetime) -> None:
    """Hours in which a run is still open are looked at again the next time."""
    oldest = Run.objects.filter(status=Run.Status.RUNNING, created_at__lt=until).aggregate(at=Min("created_at"))["at"]
    settled = min(until, hour_of(oldest)) if oldest else until
    PlanPeriod.objects.filter(metered_until__lt=settled).update(metered_until=settled)


def said(begin: datetime, end: datetime) -> dict[Key, tuple[Amount, int]]:
    """What the events of these hours come to, and how many there are."""
    rows = (
        MeterEvent.objects.filter(hour__gte=begin, hour__lt=end)
        .values("meter", "stripe_customer_id", "plan", "generation", "hour")
        .annotate(
            number=Count("id"), v=Sum("value"), r=Sum("runs"), t=Sum("tokens"), c=Sum("cost_usd", default=Decimal(0))
        )
    )
    return {
        Key(Meter(row["meter"]), row["stripe_customer_id"], row["plan"], row["generation"], row["hour"]): (
            Amount(row["v"], row["r"], row["t"], row["c"]),
            row["number"],
        )
        for row in rows
    }


def write(wanted: dict[Key, Amount], there: dict[Key, tuple[Amount, int]]) -> list[MeterEvent]:
    """Events for what is wanted and isn't there."""
    events = []
    for key in sorted(wanted.keys() | there.keys()):
        amount, number = there.get(key, (Amount(), 0))
        if more := wanted.get(key, Amount()) - amount:
            events.append(event(key, more, number))
    return events


def event(key: Key, amount: Amount, sequence: int) -> MeterEvent:
    charges = bool(key.customer and amount.value)
    made: MeterEvent = MeterEvent.objects.create(
        meter=key.meter,
        stripe_customer_id=key.customer,
        plan=key.plan,
        generation=key.generation,
        hour=key.hour,
        sequence=sequence,
        identifier=identifier(require_tenant_id(), key, sequence),
        at=time_for(key),
        value=amount.value,
        runs=amount.runs,
        tokens=amount.tokens,
        cost_usd=amount.cost_usd,
        status=MeterEvent.Status.PENDING if charges else MeterEvent.Status.UNBILLED,
    )
    return made


def identifier(tenant_id: UUID, key: Key, sequence: int) -> str:
    """The same for the same event, whoever makes it and however often."""
    parts = (tenant_id.hex, *key[:4], key.hour.isoformat(), str(sequence))
    return f"{key.hour:%Y%m%dT%H}-{sequence}-{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:40]}"


def time_for(key: Key) -> datetime:
    """When Stripe is told that it was used: in its hour; not before the customer subscribed; and in the period under
    way, if the one before has its invoice. A minute of its own, so that Stripe can be asked about this very event.
    """
    at = key.hour
    mine = {"plan": key.plan, "generation": key.generation, "stripe_customer_id": key.customer}
    if began := PlanPeriod.objects.filter(**mine).aggregate(at=Min("starts_at"))["at"]:
        at = max(at, next_minute(began))
    bought = entitlements.subscription()
    if bought and bought.period_start and bought.stripe_customer_id == key.customer:
        is_invoiced = timezone.now() >= bought.period_start + INVOICED
        if key.hour < bought.period_start and is_invoiced:
            at = max(at, next_minute(bought.period_start))
    others = MeterEvent.objects.filter(meter=key.meter, stripe_customer_id=key.customer, at__gte=at, at__lt=at + HOUR)
    last = others.aggregate(at=Max("at"))["at"]
    return last + MINUTE if last else at


def next_minute(at: datetime) -> datetime:
    whole = at.replace(second=0, microsecond=0)
    return whole if whole == at else whole + MINUTE


def total(amounts: Iterable[Amount]) -> Amount:
    return sum(amounts, Amount())
