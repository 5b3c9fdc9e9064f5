"""Choosing a plan, in local mode and at Stripe: more at once, less later, never a seat too few."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from apps.billing import entitlements, local, plan_files, stripe_change
from apps.billing.apply import apply
from apps.billing.choose import Away, Pages, Refused, choose
from apps.billing.follow import follow
from apps.billing.models import PlanPeriod, Subscription
from apps.knowledge.add import no_room
from apps.tenants import domains, features, invitations
from apps.tenants.context import tenant_context
from apps.tenants.members import Refused as MemberRefused
from apps.tenants.models import AuditEvent, Membership, Tenant
from apps.tenants.signup import create_workspace
from tests.conftest import Cast

from .conftest import subscribe
from .stripe_stub import Fault, Stripe

PAGES = Pages("http://localhost/done", "http://localhost/back")
FREE, PRO, ENTERPRISE = (plan_files.newest()[name] for name in ("free", "pro", "enterprise"))


def pick(cast: Cast, plan: str, seats: int = 3) -> str | None:
    return choose(plan, seats, cast.acme, cast.alice, PAGES)


def test_a_new_workspace_has_the_free_plans_limits(cast: Cast, local_mode: None) -> None:
    tenant = create_workspace("Initech", owner=cast.bob)

    with tenant_context(tenant):
        tenant.refresh_from_db()
        assert (tenant.seats, tenant.features, tenant.tokens_per_day) == (3, [], FREE.limits.tokens_per_day)
        assert entitlements.plan() == FREE and not PlanPeriod.objects.exists()
        assert (entitlements.has("silo"), entitlements.limit("seats")) == (False, 3)


def test_where_billing_is_off_everything_is_there(alice: Cast) -> None:
    assert (entitlements.has("silo"), entitlements.limit("documents")) == (True, None)
    assert alice.acme.seats is None and features.has(alice.acme, "silo")
    with pytest.raises(KeyError):
        entitlements.has("teleport")


def test_local_mode_takes_effect_at_once(alice: Cast, local_mode: None) -> None:
    assert pick(alice, "pro", 5) is None

    bought, tenant = Subscription.objects.get(), Tenant.objects.get(pk=alice.acme.id)
    assert (bought.status, bought.seats, bought.stripe_customer_id) == ("trialing", 5, "")
    assert (tenant.seats, tenant.features, tenant.requests_per_minute) == (5, ["custom_domains", "own_keys"], 60)
    assert {each.action for each in AuditEvent.objects.all()} >= {"plan.chosen", "plan.changed"}


def test_less_holds_when_the_month_ends(alice: Cast, local_mode: None) -> None:
    pick(alice, "enterprise", 10)
    pick(alice, "pro", 4)
    bought = Subscription.objects.get()
    assert (entitlements.plan(), bought.next_plan) == (ENTERPRISE, "pro")

    assert not local.roll()
    assert local.roll(bought.period_end + timedelta(seconds=1))

    assert entitlements.plan() == PRO
    assert not Subscription.objects.get().next_plan
    assert PlanPeriod.objects.count() == 2


def test_a_trial_becomes_a_month_and_is_had_once(alice: Cast, local_mode: None) -> None:
    pick(alice, "pro")
    ends = Subscription.objects.get().trial_ends_at
    local.roll(ends)
    bought = Subscription.objects.get()
    assert (bought.status, bought.period_start) == ("active", ends)

    pick(alice, "free")
    local.roll(bought.period_end)
    assert (Subscription.objects.get().status, entitlements.plan()) == ("cancelled", FREE)
    pick(alice, "pro")

    assert Subscription.objects.get().status == "active"


@pytest.mark.parametrize(
    ("plan", "seats", "says"),
    [
        ("platinum", 1, "no such plan"),
        ("enterprise", 3, "begins with 10 seats"),
        ("pro", 101, "at most 100 seats"),
        ("free", 1, "on Free already"),
    ],
)
def test_what_cannot_be_chosen_changes_nothing(alice: Cast, local_mode: None, plan: str, seats: int, says: str) -> None:
    with pytest.raises(Refused, match=says):
        pick(alice, plan, seats)

    assert not Subscription.objects.exists()


def test_the_next_invitation_waits_for_a_seat(alice: Cast, local_mode: None) -> None:
    """Members and open invitations take seats. Who is there stays when the plan has room for fewer."""
    apply(None)
    owner = Membership.objects.get(user=alice.alice)
    _, link = invitations.invite("dora@acme.example", Membership.Role.MEMBER, owner)

    with pytest.raises(MemberRefused, match="All 3 seats are taken"):
        invitations.invite("emil@acme.example", Membership.Role.MEMBER, owner)
    Tenant.objects.filter(pk=alice.acme.id).update(seats=1)
    token = link.rstrip("/").rpartition("/")[2]
    dora = type(alice.alice).objects.create_user("dora@acme.example")
    with pytest.raises(MemberRefused, match="seats are taken"):
        invitations.accept(token, dora)
    assert Membership.objects.count() == 2

    pick(alice, "pro", 4)
    assert invitations.accept(token, dora).user == dora
    assert invitations.invite("emil@acme.example", Membership.Role.MEMBER, owner)


def test_the_next_upload_and_domain_wait_for_a_plan(alice: Cast, local_mode: None) -> None:
    apply(None)

    assert no_room(1) == ""
    assert "stores 200 MB" in no_room(200_000_001)
    with pytest.raises(domains.Refused, match="your plan doesn’t include that"):
        domains.claim("chat.acme.example")
    pick(alice, "pro")
    assert domains.claim("chat.acme.example")


@pytest.mark.django_db(transaction=True, databases=["default", "platform"])
def test_promotion_waits_for_a_plan_with_a_silo(committed_cast: Cast) -> None:
    with tenant_context(committed_cast.acme):
        Tenant.objects.filter(pk=committed_cast.acme.id).update(features=[])

    with pytest.raises(CommandError, match="schema of your own"):
        call_command("promote", "acme")


# --- At Stripe


def test_checkout_is_asked_for_what_was_chosen(with_plans: Stripe, alice: Cast, settings: Any) -> None:
    settings.STRIPE_AUTOMATIC_TAX = True

    url = pick(alice, "pro", 4)

    session = with_plans.all("checkout.session")[0]["_asked"]
    prices = {each["id"]: each["lookup_key"] for each in with_plans.all("price")}
    assert url and url.endswith(with_plans.all("checkout.session")[0]["id"])
    assert [(prices[each["price"]].rpartition("_")[2], each.get("quantity")) for each in session["line_items"]] == [
        ("seat", 4),
        ("usage", None),
        ("keys", None),
    ]
    assert session["subscription_data"]["trial_period_days"] == 14
    assert (session["allow_promotion_codes"], session["automatic_tax"]) == (True, {"enabled": True})
    assert entitlements.plan() == FREE  # nobody has paid yet


def test_paid_changed_and_cancelled(with_plans: Stripe, alice: Cast) -> None:
    bought = subscribe(with_plans, alice)
    id = bought.stripe_subscription_id
    assert (bought.status, entitlements.plan(), entitlements.limit("seats")) == ("trialing", PRO, 3)

    pick(alice, "pro", 6)
    assert entitlements.limit("seats") == 6

    pick(alice, "enterprise", 12)
    assert (entitlements.plan(), entitlements.limit("seats")) == (ENTERPRISE, 12)
    assert Tenant.objects.get(pk=alice.acme.id).features == ["custom_domains", "own_keys", "silo"]

    pick(alice, "pro", 2)
    assert (entitlements.plan(), Subscription.objects.get().next_plan) == (ENTERPRISE, "pro")
    with_plans.renew(id)
    follow()
    assert (entitlements.plan(), entitlements.limit("seats"), Subscription.objects.get().next_plan) == (PRO, 2, "")

    pick(alice, "free")
    assert Subscription.objects.get().cancel_at_period_end
    pick(alice, "pro", 2)
    assert not Subscription.objects.get().cancel_at_period_end
    pick(alice, "free")
    with_plans.renew(id)
    follow()
    assert (entitlements.plan(), entitlements.limit("seats")) == (FREE, 3)
    assert [each.plan for each in PlanPeriod.objects.order_by("starts_at")] == ["pro", "enterprise", "pro", "free"]


def test_a_scheduled_change_can_be_taken_back(with_plans: Stripe, alice: Cast) -> None:
    bought = subscribe(with_plans, alice, "enterprise", 10)
    pick(alice, "pro", 2)

    pick(alice, "enterprise", 11)

    found = Subscription.objects.get()
    assert (found.next_plan, found.stripe_schedule_id, found.seats) == ("", "", 11)
    with_plans.renew(bought.stripe_subscription_id)
    assert follow() and entitlements.plan() == ENTERPRISE


def test_a_failed_payment_leaves_the_plan_until_stripe_gives_up(with_plans: Stripe, alice: Cast) -> None:
    bought = subscribe(with_plans, alice)
    id = bought.stripe_subscription_id
    with_plans.renew(id, paid=False)
    follow()
    found = Subscription.objects.get()
    assert (found.status, entitlements.plan()) == ("past_due", PRO)
    assert found.next_payment_at and found.past_due_since

    with_plans.give_up(id)
    follow()
    assert (Subscription.objects.get().status, entitlements.plan()) == ("unpaid", FREE)
    with pytest.raises(Refused, match="An invoice is open"):
        pick(alice, "pro")

    with_plans.settle(id)
    follow()
    assert (Subscription.objects.get().past_due_since, entitlements.plan()) == (None, PRO)


def test_nobody_buys_twice(with_plans: Stripe, alice: Cast) -> None:
    """Paid in another tab, and Stripe's word of it hasn't come yet."""
    pick(alice, "pro")
    with_plans.pay(with_plans.all("checkout.session")[0]["id"])

    with pytest.raises(Refused, match="has a plan meanwhile"):
        pick(alice, "pro")

    assert len(with_plans.all("checkout.session")) == 1 and entitlements.plan() == PRO


def test_stripe_is_away_and_nothing_changes(with_plans: Stripe, alice: Cast, monkeypatch: Any) -> None:
    monkeypatch.setattr("stripe._http_client.HTTPClient._sleep_time_seconds", lambda *_, **__: 0)
    with_plans.faults.append(Fault("customers", "500", times=3))

    with pytest.raises(Away, match="Nothing was changed"):
        pick(alice, "pro")

    assert pick(alice, "pro")
    assert len(with_plans.all("customer")) == 1


def test_one_customer_though_the_answer_was_lost(with_plans: Stripe, alice: Cast, monkeypatch: Any) -> None:
    monkeypatch.setattr("stripe._http_client.HTTPClient._sleep_time_seconds", lambda *_, **__: 0)
    with_plans.faults.append(Fault("customers", "after", times=2))

    pick(alice, "pro")

    assert len(with_plans.all("customer")) == 1


def test_a_deleted_workspace_ends_its_subscription(with_plans: Stripe, alice: Cast) -> None:
    from apps.billing.begin_and_end import end

    bought = subscribe(with_plans, alice)

    end()
    end()

    assert with_plans.things[bought.stripe_subscription_id]["status"] == "canceled"
    stripe_change.cancel_now(bought)  # it has ended already


def test_months_go_by_as_calendars_have_them() -> None:
    at = timezone.now().replace(year=2027, month=1, day=31)

    assert [local.a_month_after(at).day, local.a_month_after(at.replace(month=12)).month] == [28, 1]
