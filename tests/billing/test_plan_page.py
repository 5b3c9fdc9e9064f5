"""Settings, Plan: an owner's alone."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from apps.billing import local, plan_files
from apps.billing.checks import billing_is_meant
from apps.billing.models import PlanPeriod, Subscription
from apps.tenants.context import tenant_context
from apps.tenants.models import Membership
from tests.conftest import Cast, signed_in

from .conftest import an_hour_ago, make_run, subscribe
from .stripe_stub import Stripe

PAGE = "/t/acme/settings/plan/"
PRO = plan_files.newest()["pro"]


def text(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def test_what_was_used_is_shown_to_the_cent(alice: Cast, local_mode: None) -> None:
    hour = an_hour_ago()
    local.begin(PRO, 2)
    Subscription.objects.update(period_start=hour, status="active")
    PlanPeriod.objects.update(starts_at=hour, metered_until=hour)
    make_run(hour, cost_usd="10.00")
    make_run(timezone.now(), cost_usd="0.50")  # in the hour that isn't over

    said = text(signed_in(alice.alice).get(PAGE))

    assert "Local mode: nobody is charged." in said
    assert "<strong>$12.60</strong> of $10.00 included" in said
    assert "<dd> $48.00 </dd>" in said and "<dd> $2.60 </dd>" in said and "<dd> $50.60 </dd>" in said
    assert "<strong>2</strong> of 2" in said


def test_choosing_on_the_page(alice: Cast, local_mode: None) -> None:
    client = signed_in(alice.alice)

    assert client.post(f"{PAGE}choose/", {"plan": "pro", "seats": "5"}).status_code == 302
    assert "On trial" in text(client.get(PAGE))
    refused = client.post(f"{PAGE}choose/", {"plan": "pro", "seats": "1000"})
    assert refused.status_code == 409 and "at most 100 seats" in text(refused)
    for seats in ("", "0", "-1", "many", "1" * 9, "²"):
        assert client.post(f"{PAGE}choose/", {"plan": "pro", "seats": seats}).status_code == 422
    assert client.get(f"{PAGE}choose/").status_code == 405


def test_members_admins_and_outsiders_get_nothing(alice: Cast, local_mode: None) -> None:
    """Also not by asking for it: with a plan that could be seen and changed."""
    local.begin(PRO, 2)
    for user, role, status in ((alice.bob, "member", 403), (alice.bob, "admin", 403), (alice.charlie, "owner", 404)):
        Membership.objects.filter(user=user).update(role=role)
        client = signed_in(user)
        answers = [client.get(PAGE), client.get(f"{PAGE}done/"), client.post(f"{PAGE}portal/")]
        answers.append(client.post(f"{PAGE}choose/", {"plan": "free", "seats": "1"}))
        assert [each.status_code for each in answers] == [status] * 4
        assert "settings/plan" not in text(client.get("/t/acme/usage/"))

    bought = Subscription.objects.get()
    assert (bought.plan, bought.cancel_at_period_end) == ("pro", False)
    with tenant_context(alice.globex):
        assert not Subscription.objects.exists() and not PlanPeriod.unscoped.exists()


def test_to_stripe_and_back(with_plans: Stripe, alice: Cast) -> None:
    client = signed_in(alice.alice)

    away = client.post(f"{PAGE}choose/", {"plan": "pro", "seats": "2"})
    session = with_plans.all("checkout.session")[0]
    assert away.status_code == 302 and away["Location"].endswith(f"/pay/{session['id']}")
    assert session["_asked"]["success_url"] == f"http://testserver{PAGE}done/"
    with_plans.pay(session["id"])
    assert client.get(f"{PAGE}done/")["Location"] == PAGE
    assert "Payment and invoices" in text(client.get(PAGE))
    assert "/portal/bps_" in client.post(f"{PAGE}portal/")["Location"]


def test_owners_hear_of_a_failed_payment_on_every_page(with_plans: Stripe, alice: Cast) -> None:
    bought = subscribe(with_plans, alice)
    Subscription.objects.update(
        status="past_due", past_due_since=timezone.now(), next_payment_at=timezone.now() + timedelta(days=3)
    )
    usage = "/t/acme/usage/"

    owners, members = text(signed_in(alice.alice).get(usage)), text(signed_in(alice.bob).get(usage))

    assert "The last payment failed" in owners and f'action="{PAGE}portal/"' in owners
    assert "payment failed" not in members
    assert bought.stripe_customer_id not in owners + members


def test_without_billing_there_is_nothing_to_choose(alice: Cast) -> None:
    client = signed_in(alice.alice)

    assert "This installation has no plans" in text(client.get(PAGE))
    assert client.post(f"{PAGE}choose/", {"plan": "pro", "seats": "2"}).status_code == 409
    assert client.post(f"{PAGE}portal/").status_code == 409
    assert not Subscription.objects.exists()


@pytest.mark.parametrize(
    ("given", "ids"),
    [
        ({}, []),
        ({"BILLING": "local"}, ["billing.W002"]),
        ({"BILLING": "local", "DEBUG": True}, []),
        ({"BILLING": "stripe"}, ["billing.E002", "billing.E003"]),
        ({"BILLING": "off", "STRIPE_SECRET_KEY": "sk_live_x"}, ["billing.W001"]),
        (
            {"BILLING": "stripe", "STRIPE_SECRET_KEY": "sk_test_x", "STRIPE_WEBHOOK_SECRETS": ["x"], "HTTPS": True},
            ["billing.W003"],
        ),
    ],
)
def test_a_check_says_when_nobody_is_charged(settings: Any, given: dict[str, Any], ids: list[str]) -> None:
    for name, value in given.items():
        setattr(settings, name, value)

    assert [each.id for each in billing_is_meant()] == ids


def test_nobody_is_in_local_mode_by_accident() -> None:
    assert django_settings.BILLING == "off"
