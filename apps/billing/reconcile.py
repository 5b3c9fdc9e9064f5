"""Whether the money agrees: runs with the ledger, runs with the outbox, the outbox with Stripe. To the token and cent.

Each line is one comparison; a workspace without a difference has lines that all say 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import connection
from django.db.models import Max, Sum
from django.utils import timezone

from apps.tenants.context import require_tenant_id

from . import meter, stripe_client
from .models import MeterEvent
from .models.meter_event import Meter
from .used import Amount, by_hour

# Of the ledger's day and month under way, in one statement and so at one moment: what it says, and what the runs say.
# A run whose process died has its reservation counted until it turns out what it took.
LEDGER = """
SELECT spend.day, spend.month, spend.day_tokens, spend.day_usd, spend.month_usd, spend.month_reserved_usd,
    runs.day_tokens, runs.day_usd, runs.month_usd, runs.month_reserved_usd
FROM runs_spend AS spend, LATERAL (
    SELECT
        coalesce(sum(CASE run.status WHEN 'lost' THEN run.reserved_tokens ELSE run.input_tokens + run.output_tokens END)
            FILTER (WHERE run.kind = 'completion' AND run.status <> 'running'
                AND run.created_at >= spend.day::timestamp AT TIME ZONE 'UTC'), 0) AS day_tokens,
        coalesce(sum(run.cost_usd) FILTER (
            WHERE run.created_at >= spend.day::timestamp AT TIME ZONE 'UTC'), 0) AS day_usd,
        coalesce(sum(run.cost_usd), 0) AS month_usd,
        coalesce(sum(run.reserved_usd) FILTER (WHERE run.status = 'running'), 0) AS month_reserved_usd
    FROM runs_run AS run
    WHERE run.tenant_id = spend.tenant_id AND run.created_at >= spend.month::timestamp AT TIME ZONE 'UTC'
) AS runs
WHERE spend.tenant_id = %s AND spend.scope = 'workspace' AND spend.subject = ''
"""


@dataclass(frozen=True, slots=True)
class Line:
    """`what` is compared in which `unit`: the `left` one, such as runs, says `here`, and the `right` one `there`."""

    what: str
    unit: str
    left: str
    here: Decimal
    right: str
    there: Decimal

    @property
    def difference(self) -> Decimal:
        return self.there - self.here


def reconcile(begin: datetime, end: datetime, *, with_stripe: bool) -> Iterator[Line]:
    """Every comparison of the active workspace, of the whole hours from `begin` until before `end`.

    The ledger is that of the day and month under way, whatever the hours. Raises stripe.StripeError, NotSetUp.
    """
    yield from with_ledger()
    yield from with_outbox(begin, end)
    if with_stripe:
        yield from with_summaries(begin, end)


def with_ledger() -> Iterator[Line]:
    with connection.cursor() as cursor:
        cursor.execute(LEDGER, [require_tenant_id()])
        row = cursor.fetchone()
    if row is None:
        return
    day, month, *numbers = row
    ledger, runs = numbers[:4], numbers[4:]
    names = (
        (f"{day:%-d %B}", "tokens"),
        (f"{day:%-d %B}", "$"),
        (f"{month:%B %Y}", "$"),
        (f"{month:%B %Y}", "$ reserved"),
    )
    for (what, unit), said, counted in zip(names, ledger, runs, strict=True):
        yield Line(what, unit, "runs", Decimal(counted), "ledger", Decimal(said))


def with_outbox(begin: datetime, end: datetime) -> Iterator[Line]:
    """The sums of all hours, and each hour that differs: one's too much could hide another's too little."""
    wanted = by_hour(begin, end)
    there = {key: amount for key, (amount, _) in meter.said(begin, end).items()}
    for each in Meter:
        keys = sorted(key for key in wanted.keys() | there.keys() if key.meter == each)
        if keys:
            here, out = (meter.total(side.get(key, Amount()) for key in keys) for side in (wanted, there))
            yield from lines(each.value, here, out)
        for key in keys:
            here, out = wanted.get(key, Amount()), there.get(key, Amount())
            if here != out:
                yield from lines(f"{each.value} {key.hour:%-d %b %H:00}", here, out)


def lines(what: str, here: Amount, there: Amount) -> Iterator[Line]:
    yield Line(what, "units", "runs", here.value, "outbox", there.value)
    yield Line(what, "tokens", "runs", Decimal(here.tokens), "outbox", Decimal(there.tokens))
    yield Line(what, "$ cost", "runs", here.cost_usd, "outbox", there.cost_usd)
    yield Line(what, "runs", "runs", Decimal(here.runs), "outbox", Decimal(there.runs))


def with_summaries(begin: datetime, end: datetime) -> Iterator[Line]:
    """What is in the outbox to be charged, of those hours, and Stripe's own sums of the minutes that it was told."""
    events = MeterEvent.objects.filter(hour__gte=begin, hour__lt=end).exclude(status=MeterEvent.Status.UNBILLED)
    api = stripe_client.client()
    groups = events.values("meter", "stripe_customer_id").annotate(value=Sum("value"), last=Max("at")).order_by("meter")
    for group in groups:
        name, customer = group["meter"], group["stripe_customer_id"]
        until = max(end, meter.hour_of(group["last"]) + timedelta(hours=1))
        until = min(until, timezone.now().replace(second=0, microsecond=0))
        found = stripe_client.summed(api, name, customer, begin, until)
        # Told at a time in the window, of hours outside of it: late runs, or hours after its end.
        others = MeterEvent.objects.filter(meter=name, stripe_customer_id=customer, at__gte=begin, at__lt=until)
        others = others.filter(status=MeterEvent.Status.SENT).exclude(hour__gte=begin, hour__lt=end)
        found -= others.aggregate(value=Sum("value", default=Decimal(0)))["value"]
        yield Line(name, customer, "outbox", group["value"], "Stripe", found)
