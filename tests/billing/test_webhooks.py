"""What Stripe tells: signed, once, in any order."""

import random
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError
from django.test import Client
from django.utils import timezone

from apps.billing import entitlements, webhooks
from apps.billing.models import PlanPeriod, StripeEvent, Subscription
from apps.tenants.context import tenant_context, user_context
from apps.tenants.models import Tenant
from tests.conftest import Cast

from .conftest import subscribe
from .stripe_stub import Fault, Stripe, signed

EVENTS = StripeEvent.objects.using("platform")
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "platform"])


def post(body: str, signature: str) -> Any:
    return Client().post(
        "/stripe/webhook/", body, content_type="application/json", headers={"Stripe-Signature": signature}
    )


@pytest.fixture
def acme(with_plans: Stripe, committed_cast: Cast) -> tuple[Stripe, Subscription]:
    """Acme pays for Pro, and none of Stripe's events has arrived."""
    with user_context(committed_cast.alice), tenant_context(committed_cast.acme):
        return with_plans, subscribe(with_plans, committed_cast)


def state(tenant: Tenant) -> dict[str, Any]:
    """All of what a workspace has bought and may have, but for when Stripe was asked and when it took effect."""
    with tenant_context(tenant):
        bought = Subscription.objects.values().get()
        limits = Tenant.objects.values("seats", "features", "tokens_per_day", "highest_tier").get(pk=tenant.id)
        period = PlanPeriod.objects.values("plan", "generation", "stripe_customer_id").get(ends_at=None)
    return {**bought, **limits, **period, "as_of": None}


def live_through(api: Stripe, bought: Subscription) -> None:
    """What can happen to a subscription, at Stripe."""
    id = bought.stripe_subscription_id
    api.renew(id)
    api.renew(id, paid=False)
    api.settle(id)
    api.change_subscription(id, {"cancel_at_period_end": True})
    api.change_subscription(id, {"cancel_at_period_end": False, "items": [{"id": seat_of(api, id), "quantity": 7}]})
    api.renew(id, paid=False)


def seat_of(api: Stripe, id: str) -> str:
    return next(each["id"] for each in api.things[id]["items"]["data"] if each["price"]["metadata"]["part"] == "seat")


def test_shuffled_and_told_again_there_is_one_end(acme: tuple[Stripe, Subscription], committed_cast: Cast) -> None:
    """Each time all of them, some two or three times, in another order, processed in two goes. `make bench-billing`
    shuffles a thousand times."""
    api, bought = acme
    live_through(api, bought)
    ends, chance = set(), random.Random(7)

    for _ in range(20):
        told = [event for event in api.events for _ in range(chance.choice((1, 1, 2, 3)))]
        chance.shuffle(told)
        EVENTS.all().delete()
        for half in (told[: len(told) // 2], told[len(told) // 2 :]):
            for event in half:
                webhooks.store(*signed_bytes(event))
            webhooks.process()
        ends.add(str(state(committed_cast.acme)))

    (end,) = ends
    assert "'status': 'past_due'" in end and "'seats': 7" in end
    assert EVENTS.filter(processed_at=None).count() == 0
    assert EVENTS.count() == len(api.events)
    with tenant_context(committed_cast.acme):
        assert PlanPeriod.objects.count() == 1


def signed_bytes(event: dict) -> tuple[bytes, str]:
    body, signature = signed(event)
    return body.encode(), signature


def test_over_http_and_as_it_happens(acme: tuple[Stripe, Subscription], committed_cast: Cast) -> None:
    """Events arrive late, twice and in any order while more happens; in the end everything is as Stripe has it."""
    api, bought = acme
    chance, waiting = random.Random(11), []
    for step in (api.renew, api.fail, api.settle, api.renew, api.give_up, api.settle, api.end):
        before = len(api.events)
        step(bought.stripe_subscription_id)
        waiting += [event for event in api.events[before:] for _ in range(2)]
        chance.shuffle(waiting)
        for event in [waiting.pop() for _ in range(len(waiting) // 2)]:
            assert post(*signed(event)).status_code == 200
        webhooks.process()
    for event in waiting:
        assert post(*signed(event)).status_code == 200
    webhooks.process()

    with tenant_context(committed_cast.acme):
        found = Subscription.objects.get()
        assert (found.status, entitlements.plan().name) == ("cancelled", "free")
        assert Tenant.objects.get(pk=committed_cast.acme.id).seats == 3


@pytest.mark.parametrize(
    ("secret", "age_s"), [("whsec_of_somebody", 0), ("whsec_of_the_tests", 301), ("whsec_of_the_tests", 86_400)]
)
def test_what_stripe_did_not_sign_just_now_is_not_stored(
    acme: tuple[Stripe, Subscription], secret: str, age_s: int
) -> None:
    api, _ = acme

    answer = post(*signed(api.events[0], secret=secret, at=int(time.time()) - age_s))

    assert (answer.status_code, EVENTS.count()) == (400, 0)


@pytest.mark.parametrize("signature", ["", "t=1", "v1=x", "t=x,v1=y", "nonsense"])
def test_a_broken_signature_is_no_error_of_ours(acme: tuple[Stripe, Subscription], signature: str) -> None:
    assert post(signed(acme[0].events[0])[0], signature).status_code == 400


def test_a_changed_body_is_not_stored(acme: tuple[Stripe, Subscription]) -> None:
    body, signature = signed(acme[0].events[0])

    assert post(body.replace("evt_", "evt_x"), signature).status_code == 400


def test_another_endpoints_secret_counts_while_it_rolls(acme: tuple[Stripe, Subscription], settings: Any) -> None:
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_new", "whsec_old"]

    statuses = [post(*signed(acme[0].events[0], secret=secret)).status_code for secret in ("whsec_old", "whsec_new")]

    assert (statuses, EVENTS.count()) == ([200, 200], 1)


def test_the_web_may_store_and_read_none(acme: tuple[Stripe, Subscription], committed_cast: Cast) -> None:
    webhooks.store(*signed_bytes(acme[0].events[0]))

    with tenant_context(committed_cast.globex):
        assert StripeEvent.objects.count() == 0
        assert StripeEvent.objects.update(processed_at=timezone.now()) == 0
        assert StripeEvent.objects.all().delete()[0] == 0
    with tenant_context(committed_cast.acme):
        assert StripeEvent.objects.count() == 0
    assert EVENTS.count() == 1
    with pytest.raises(DatabaseError):
        StripeEvent.objects.create(id=EVENTS.get().id, type="x", created=timezone.now(), payload={})


def test_stripe_is_away_and_the_events_wait(acme: tuple[Stripe, Subscription], committed_cast: Cast) -> None:
    api, bought = acme
    api.end(bought.stripe_subscription_id)
    for event in api.events:
        webhooks.store(*signed_bytes(event))
    api.faults.append(Fault("subscriptions", "500", times=9))

    assert webhooks.process() == 0
    row = EVENTS.first()
    assert row and (row.attempts, row.error != "", row.workspace) == (1, True, committed_cast.acme.id)
    api.faults.clear()
    assert webhooks.process() == 0  # not due
    assert webhooks.process(now=timezone.now() + timedelta(minutes=2)) == len(api.events)
    assert state(committed_cast.acme)["status"] == "cancelled"


def test_an_event_of_nobody_of_ours_is_done_with(acme: tuple[Stripe, Subscription], committed_cast: Cast) -> None:
    """Whatever it says of workspaces: a customer is whose we wrote down."""
    api, _ = acme
    event = {**api.events[0], "id": "evt_forged"}
    event["data"] = {"object": {**event["data"]["object"], "customer": "cus_of_another"}}
    event["data"]["object"]["metadata"] = {"workspace": str(committed_cast.globex.id)}
    webhooks.store(*signed_bytes(event))

    assert webhooks.process() == 1
    assert EVENTS.get().workspace is None
    with tenant_context(committed_cast.globex):
        assert not Subscription.objects.exists()


def test_an_operator_has_it_done_again(acme: tuple[Stripe, Subscription], committed_cast: Cast) -> None:
    api, bought = acme
    webhooks.store(*signed_bytes(api.events[0]))
    webhooks.process()
    api.end(bought.stripe_subscription_id)

    assert webhooks.replay([EVENTS.get().id]) == 1
    assert webhooks.process() == 1
    assert state(committed_cast.acme)["status"] == "cancelled"
