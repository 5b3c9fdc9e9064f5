"""From runs to the outbox to Stripe: everything once, to the cent, whatever happens on the way."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.billing import local, meter, plan_files, send, stripe_client
from apps.billing.models import MeterEvent, PlanPeriod
from apps.billing.models.meter_event import Meter
from tests.conftest import Cast

from .conftest import an_hour_ago, make_run, subscribe
from .stripe_stub import Fault, Stripe

PRO = plan_files.newest()["pro"]
USD = "corbel_usage_usd"


def since(at: Any) -> None:
    """The plan has held since then."""
    PlanPeriod.objects.update(starts_at=at, metered_until=at)


def test_an_hours_runs_are_one_event_and_late_ones_another(with_plans: Stripe, alice: Cast) -> None:
    bought, hour = subscribe(with_plans, alice), an_hour_ago()
    since(hour)
    make_run(hour + timedelta(minutes=5), cost_usd=Decimal("0.010001"))
    make_run(hour + timedelta(minutes=59), cost_usd=Decimal("0.020000"))
    late = make_run(hour + timedelta(minutes=30), status="running", reserved_usd=1)
    make_run(hour + timedelta(minutes=31), status="lost", cost_usd=1, reserved_usd=1)

    first, again = meter.meter(), meter.meter()
    late.status, late.finished_at, late.cost_usd = "ok", timezone.now(), Decimal("0.5")
    late.save()
    second, sent = meter.meter(), send.send()

    assert [(each.hour, each.value, each.runs, each.sequence) for each in first] == [(hour, 36001, 2, 0)]
    assert again == []
    assert [(each.hour, each.value, each.runs, each.sequence) for each in second] == [(hour, 600000, 1, 1)]
    assert second[0].at == first[0].at + timedelta(minutes=1)
    assert (sent, send.send()) == (2, 0)
    assert with_plans.metered(USD, bought.stripe_customer_id) == 636001


def test_own_keys_are_billed_by_the_answer(with_plans: Stripe, alice: Cast) -> None:
    bought, hour = subscribe(with_plans, alice), an_hour_ago()
    since(hour)
    answer = make_run(hour, payer="tenant", cost_usd=5)
    make_run(hour, payer="tenant", purpose="judge", parent=answer, cost_usd=1)
    make_run(hour, payer="tenant", status="failed", cost_usd=1)

    meter.meter()
    send.send()

    assert with_plans.metered(USD, bought.stripe_customer_id) == 0
    assert with_plans.metered("corbel_own_key_runs", bought.stripe_customer_id) == 1


@pytest.mark.parametrize(("unit", "value"), [("tokens", 240), ("runs", 2)])
def test_the_unit_is_the_plans(alice: Cast, local_mode: None, monkeypatch: Any, unit: str, value: int) -> None:
    from dataclasses import replace

    plan = replace(PRO, bills=replace(PRO.bills, unit=unit, price_usd=Decimal(3)))
    monkeypatch.setattr(plan_files, "find", lambda *_: plan)
    hour = an_hour_ago()
    local.begin(plan, 1)
    since(hour)
    make_run(hour)
    make_run(hour + timedelta(minutes=1), is_cached=True, cost_usd=0)

    events = meter.meter()

    assert [(each.meter, each.value, each.status) for each in events] == [(f"usage_{unit}", value, "unbilled")]


def test_what_was_used_before_the_plan_is_not_billed(with_plans: Stripe, alice: Cast) -> None:
    subscribe(with_plans, alice)
    hour = an_hour_ago()
    since(hour + timedelta(minutes=30, seconds=10))
    make_run(hour + timedelta(minutes=30))
    make_run(hour + timedelta(minutes=31))

    (event,) = meter.meter()

    assert (event.hour, event.runs, event.at) == (hour, 1, hour + timedelta(minutes=31))


def test_what_came_after_an_invoice_is_in_the_next(with_plans: Stripe, alice: Cast) -> None:
    bought, hour = subscribe(with_plans, alice), an_hour_ago() - timedelta(hours=5)
    since(hour)
    bought.period_start = hour + timedelta(hours=2)
    bought.save()
    make_run(hour + timedelta(minutes=5))

    (event,) = meter.meter()

    assert (event.hour, event.at) == (hour, bought.period_start)


@pytest.mark.parametrize("how", ["after", "before", "500", "429"])
def test_what_fails_is_sent_again_and_billed_once(with_plans: Stripe, alice: Cast, how: str) -> None:
    """ "after": Stripe has taken it, and nobody heard of that."""
    bought, hour = subscribe(with_plans, alice), an_hour_ago()
    since(hour)
    make_run(hour, cost_usd=1)
    meter.meter()
    with_plans.faults.append(Fault("billing/meter_events", how))

    first = send.send()
    event = MeterEvent.objects.get()
    assert (first, event.status, event.attempts) == (0, "sending", 1)
    assert event.last_error and event.next_attempt_at > timezone.now()
    assert send.send() == 0  # not due yet
    MeterEvent.objects.update(next_attempt_at=timezone.now())
    second = send.send()

    assert second == 1
    assert with_plans.metered(USD, bought.stripe_customer_id) == 1_200_000
    assert len(with_plans.meter_events) == 1


def test_after_a_day_stripes_own_sum_is_asked(with_plans: Stripe, alice: Cast) -> None:
    """By then the identifier may be forgotten, and the event would be taken twice."""
    bought, hour = subscribe(with_plans, alice), an_hour_ago()
    since(hour)
    make_run(hour, cost_usd=1)
    meter.meter()
    with_plans.faults.append(Fault("billing/meter_events", "after"))
    send.send()
    with_plans.forget_identifiers()
    now = timezone.now()
    MeterEvent.objects.update(next_attempt_at=now, first_sent_at=now - timedelta(days=2))

    assert send.send() == 1
    assert with_plans.metered(USD, bought.stripe_customer_id) == 1_200_000


def test_what_stripe_refuses_is_kept_with_the_reason(with_plans: Stripe, alice: Cast) -> None:
    bought, hour = subscribe(with_plans, alice), an_hour_ago()
    since(hour)
    make_run(hour, cost_usd=1)
    meter.meter()
    del with_plans.things[bought.stripe_customer_id]

    send.send()

    event = MeterEvent.objects.get()
    assert event.status == "refused" and "No such customer" in event.last_error


def test_nobody_is_charged_for_what_is_free(alice: Cast, local_mode: None) -> None:
    hour = an_hour_ago()
    local.begin(PRO, 2)
    since(hour)
    make_run(hour)

    (event,) = meter.meter()

    assert (event.status, event.stripe_customer_id, event.meter) == ("unbilled", "", Meter.USAGE_USD)
    assert send.send() == 0


def test_one_identifier_for_one_event(alice: Cast) -> None:
    key = meter.Key(Meter.USAGE_USD, "cus_1", "pro", "2026-11", an_hour_ago())

    same, other = (meter.identifier(tenant.id, key, 0) for tenant in (alice.acme, alice.globex))

    assert same == meter.identifier(alice.acme.id, key, 0)
    assert len({same, other, meter.identifier(alice.acme.id, key, 1)}) == 3
    assert len(same) <= 100


def test_stripe_client_says_what_is_missing(stripe_api: Stripe) -> None:
    with pytest.raises(stripe_client.NotSetUp, match="stripe_sync"):
        stripe_client.meter_id(stripe_client.client(), Meter.USAGE_USD)
