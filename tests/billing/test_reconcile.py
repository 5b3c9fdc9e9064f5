"""A day with faults, and afterwards runs = ledger = outbox = Stripe, which the command says and exits 0."""

import random
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from apps.billing import everybody, meter, send
from apps.billing.models import MeterEvent, PlanPeriod
from apps.runs import ledger
from apps.runs.models import Run
from apps.tenants.context import tenant_context, user_context
from tests.conftest import Cast

from .conftest import an_hour_ago, make_run, subscribe
from .killed import send_and_be_killed
from .stripe_stub import Fault, Stripe

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "platform"])
USD = "corbel_usage_usd"


def reconcile(*args: str) -> tuple[str, int]:
    out = StringIO()
    try:
        call_command("reconcile", *args, stdout=out)
    except SystemExit as ended:
        return out.getvalue(), int(ended.code or 0)
    return out.getvalue(), 0


def used(chance: random.Random) -> dict[str, Any]:
    return {
        "input_tokens": chance.randrange(10_000),
        "output_tokens": chance.randrange(2_000),
        "cost_usd": Decimal(chance.randrange(1_000_000)) / 1_000_000,
        "payer": chance.choice(["platform", "platform", "tenant"]),
        "status": chance.choice(["ok", "ok", "ok", "stopped", "failed"]),
        "kind": chance.choice(["completion", "completion", "embedding"]),
    }


def spent_as_the_runs_say() -> None:
    """The ledger's row as it would be: these runs were written without it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT runs_take_turn(%s)", [str(Run.objects.first().tenant_id)])
        cursor.execute(
            """
            UPDATE runs_spend SET (day_usd, day_tokens) = (
                SELECT coalesce(sum(cost_usd), 0),
                    coalesce(sum(input_tokens + output_tokens) FILTER (WHERE kind = 'completion'), 0)
                FROM runs_run WHERE runs_run.tenant_id = runs_spend.tenant_id
                    AND created_at >= runs_spend.day::timestamp AT TIME ZONE 'UTC' AND status <> 'running'),
            month_usd = (SELECT coalesce(sum(cost_usd), 0) FROM runs_run WHERE runs_run.tenant_id = runs_spend.tenant_id
                    AND created_at >= runs_spend.month::timestamp AT TIME ZONE 'UTC')
            WHERE scope = 'workspace'
            """
        )


def test_after_a_day_with_faults_everything_agrees(with_plans: Stripe, committed_cast: Cast) -> None:
    chance, end = random.Random(3), an_hour_ago() + timedelta(hours=1)
    begin = end - timedelta(hours=24)
    with user_context(committed_cast.alice), tenant_context(committed_cast.acme):
        bought = subscribe(with_plans, committed_cast)
        PlanPeriod.objects.update(starts_at=begin, metered_until=begin)
        runs = [make_run(begin + timedelta(seconds=chance.randrange(86_400)), **used(chance)) for _ in range(300)]
        late = chance.sample(runs, 40)
        said = {run.pk: (run.status, run.cost_usd, run.finished_at) for run in late}
        Run.objects.filter(pk__in=said).update(status="running", finished_at=None, cost_usd=None)
        with_plans.faults += [Fault("billing/meter_events", how, times=9) for how in ("after", "500", "before", "429")]

        for hours in range(1, 25):
            meter.meter(end=begin + timedelta(hours=hours))
            send.send(limit=3)
            for run in late[hours::24]:
                status, cost_usd, at = said.pop(run.pk)
                Run.objects.filter(pk=run.pk).update(status=status, cost_usd=cost_usd, finished_at=at)
        for pk, (status, cost_usd, at) in said.items():
            Run.objects.filter(pk=pk).update(status=status, cost_usd=cost_usd, finished_at=at)
        spent_as_the_runs_say()

    dates = ("--from", f"{begin:%Y-%m-%dT%H:00}", "--to", f"{end:%Y-%m-%dT%H:00}")
    before, code_before = reconcile(*dates)
    everybody.meter_all()
    for _ in range(60):
        MeterEvent.unscoped.using("platform").update(next_attempt_at=timezone.now())
        everybody.send_all()
    after, code = reconcile(*dates, "--workspace", "acme")

    assert (code_before, code) == (1, 0), after
    assert "differ" in before and "no difference" in after
    assert all(name in after for name in ("ledger", "outbox", "Stripe", "usage_usd", "own_key_runs"))
    with tenant_context(committed_cast.acme):
        platform = Run.objects.filter(payer="platform")
        hours: dict[Any, Decimal] = {}
        for run in platform:
            hours[meter.hour_of(run.created_at)] = hours.get(meter.hour_of(run.created_at), Decimal(0)) + run.cost_usd
        expected = sum(round(cost * Decimal("1.2") * 1_000_000) for cost in hours.values())
        assert with_plans.metered(USD, bought.stripe_customer_id) == expected
        assert MeterEvent.objects.filter(sequence__gt=0).exists()


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        ("UPDATE runs_spend SET month_usd = month_usd + 0.000001", "0.000001"),
        ("UPDATE billing_meterevent SET tokens = tokens + 1", "tokens"),
        ("UPDATE billing_meterevent SET value = value - 1", "units"),
        ("DELETE FROM billing_meterevent", "usage_usd"),
    ],
)
def test_the_least_difference_is_found(with_plans: Stripe, committed_cast: Cast, harm: str, says: str) -> None:
    hour = an_hour_ago()
    with user_context(committed_cast.alice), tenant_context(committed_cast.acme):
        subscribe(with_plans, committed_cast)
        PlanPeriod.objects.update(starts_at=hour, metered_until=hour)
        make_run(hour)
        spent_as_the_runs_say()
        meter.meter()
        send.send()
        dates = ("--from", f"{hour:%Y-%m-%dT%H:00}")
        assert reconcile(*dates)[1] == 0
        with connection.cursor() as cursor:
            cursor.execute(harm)

    said, code = reconcile(*dates)

    assert code == 1 and says in said


def test_what_cannot_be_asked_is_said(with_plans: Stripe, committed_cast: Cast) -> None:
    with pytest.raises(CommandError, match="no workspace at nowhere"):
        call_command("reconcile", "--workspace", "nowhere")
    with pytest.raises(CommandError, match="no hour that is over"):
        call_command("reconcile", "--from", "2999-01-01")
    with pytest.raises(CommandError, match="Write 2026-11-28 or"):
        call_command("reconcile", "--from", "yesterday")


def test_killed_between_sending_and_marking_it_is_billed_once(
    with_plans: Stripe, committed_cast: Cast, settings: Any
) -> None:
    hour = an_hour_ago()
    with user_context(committed_cast.alice), tenant_context(committed_cast.acme):
        bought = subscribe(with_plans, committed_cast)
        PlanPeriod.objects.update(starts_at=hour, metered_until=hour)
        make_run(hour, cost_usd=1)
        meter.meter()
    send_and_be_killed(committed_cast.acme.id, with_plans.url, settings.STRIPE_SECRET_KEY)

    with tenant_context(committed_cast.acme):
        event = MeterEvent.objects.get()
        assert (event.status, len(with_plans.meter_events)) == ("sending", 1)
        MeterEvent.objects.update(next_attempt_at=timezone.now())
        assert send.send() == 1
        assert MeterEvent.objects.get().status == "sent"

    assert with_plans.metered(USD, bought.stripe_customer_id) == 1_200_000
    assert with_plans.calls["POST billing/meter_events"] == 2


def test_the_ledger_itself_agrees(with_plans: Stripe, committed_cast: Cast) -> None:
    """Through the ledger's own doors: one that ends, one that is refused, one that is lost and comes back."""
    with tenant_context(committed_cast.acme):
        runs = [begun() for _ in range(3)]
        runs[0].status, runs[0].cost_usd, runs[0].input_tokens = "ok", Decimal("0.25"), 7
        ledger.close(runs[0])
        ledger.close_lost(runs[1].tenant_id, runs[1].pk)
        said, code = reconcile("--workspace", "acme", "--from", f"{an_hour_ago():%Y-%m-%dT%H:00}")
        assert code == 0 and "reserved" in said
        runs[1].status, runs[1].cost_usd, runs[1].output_tokens = "ok", Decimal("0.125"), 9
        ledger.close(runs[1])

    assert reconcile("--workspace", "acme", "--from", f"{an_hour_ago():%Y-%m-%dT%H:00}")[1] == 0


def begun() -> Run:
    from apps.runs import configuration

    now = configuration.current()
    run = Run(feature="chat", provider="offline", model="offline", reserved_usd=Decimal(1), reserved_tokens=1000)
    ledger.begin(run, revision=now.revision)
    return run
