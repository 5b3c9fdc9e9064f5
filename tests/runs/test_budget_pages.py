"""Budgets are set by owners and admins, seen in gauges, and nobody else's business."""

import re
import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.runs.models import Alert, Budget
from apps.tenants.context import tenant_context
from apps.tenants.members import leave
from apps.tenants.models import ApiKey, AuditEvent, Membership, Tenant, User
from tests.conftest import PASSWORD, Cast, signed_in

from .budgeting import begin, budget, spend

HERE = "/t/acme/settings/budgets/"
NEW = {
    "who": "workspace:",
    "period": "month",
    "cap_usd": "10",
    "soft_percent": "80",
    "soft_action": "notify",
    "is_hard": "on",
}


def all_of(tenant: Tenant) -> list[tuple[Any, ...]]:
    with tenant_context(tenant):
        return list(Budget.objects.order_by("scope").values_list("scope", "subject", "period", "cap_usd", "is_hard"))


def logged(tenant: Tenant) -> list[tuple[str, dict[str, Any]]]:
    with tenant_context(tenant):
        events = AuditEvent.objects.filter(action__startswith="budget.").order_by("at")
        return list(events.values_list("action", "details"))


def text(response: Any) -> str:
    """What the page says, without its marks."""
    page = re.sub(r"<(script|svg|head).*?</\1>", " ", response.content.decode(), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def someone(cast: Cast, role: str) -> User:
    user = User.objects.create_user(f"{role}@acme.example", PASSWORD)
    with tenant_context(cast.acme):
        Membership.objects.create(user=user, role=role)
    return user


@pytest.fixture
def alice(cast: Cast) -> Client:
    return signed_in(cast.alice)


@pytest.fixture
def key(cast: Cast) -> ApiKey:
    with tenant_context(cast.acme):
        return ApiKey.objects.create(name="Nightly", digest="d" * 64, last_four="wxyz")


def test_only_owners_and_admins_open_it(cast: Cast, alice: Client) -> None:
    with tenant_context(cast.acme):
        page = f"{HERE}{budget(5).pk}/"

    for path in (HERE, f"{HERE}add/", page):
        assert alice.get(path).status_code == 200
        assert signed_in(cast.bob).get(path).status_code == 403
        assert signed_in(cast.charlie).get(path).status_code == 404
    assert signed_in(someone(cast, "admin")).get(page).status_code == 200
    assert signed_in(someone(cast, "viewer")).get(page).status_code == 403


def test_nobody_else_changes_anything(cast: Cast) -> None:
    with tenant_context(cast.acme):
        page = f"{HERE}{budget(5).pk}/"

    for deed in (f"{HERE}add/", page, f"{page}remove/", f"{HERE}alerts/dismiss/"):
        assert signed_in(cast.bob).post(deed, {**NEW, "cap_usd": "999"}).status_code == 403
        assert signed_in(cast.charlie).post(deed, {**NEW, "cap_usd": "999"}).status_code == 404

    assert all_of(cast.acme) == [("workspace", "", "month", 5, True)]


def test_anothers_budget_is_not_found_in_ones_own_workspace(cast: Cast) -> None:
    with tenant_context(cast.acme):
        secret = budget("31.41")

    for deed in ("", "remove/"):
        response = signed_in(cast.charlie).post(f"/t/globex/settings/budgets/{secret.pk}/{deed}", NEW)
        assert response.status_code == 404 and b"31.41" not in response.content
    assert b"31.41" not in signed_in(cast.charlie).get("/t/globex/settings/budgets/").content
    assert all_of(cast.acme) == [("workspace", "", "month", Decimal("31.41"), True)]


def test_a_budget_is_added_changed_removed_and_logged(cast: Cast, alice: Client) -> None:
    who = f"user:{cast.bob.pk}"
    assert alice.post(f"{HERE}add/", {**NEW, "who": who, "period": "day"}).url == HERE
    assert all_of(cast.acme) == [("user", str(cast.bob.pk), "day", 10, True)]

    with tenant_context(cast.acme):
        made = Budget.objects.get()
    changed = {"cap_usd": "2.50", "soft_percent": "60", "soft_action": "degrade"}  # an unchecked box sends nothing
    assert alice.post(f"{HERE}{made.pk}/", changed).url == HERE
    assert all_of(cast.acme) == [("user", str(cast.bob.pk), "day", Decimal("2.5"), False)]

    assert alice.post(f"{HERE}{made.pk}/remove/").url == HERE
    assert all_of(cast.acme) == []
    assert logged(cast.acme) == [
        ("budget.added", {"who": "bob@acme.example", "limit": "$10.00 a day"}),
        (
            "budget.changed",
            {
                "who": "bob@acme.example",
                "at most, $": {"before": "$10.00", "after": "$2.50"},
                "soft percent": {"before": 80, "after": 60},
                "soft action": {"before": "notify", "after": "degrade"},
                "refuse calls beyond it": {"before": True, "after": False},
            },
        ),
        ("budget.removed", {"who": "bob@acme.example", "limit": "$2.50 a day"}),
    ]
    log = text(alice.get("/t/acme/audit/"))
    assert "set a budget of $10.00 a day for bob@acme.example" in log
    assert "at most, $: $10.00 → $2.50" in log and "soft percent: 80 → 60" in log


def test_what_is_saved_unchanged_is_not_logged(cast: Cast, alice: Client) -> None:
    with tenant_context(cast.acme):
        made = budget(10)

    alice.post(f"{HERE}{made.pk}/", NEW)

    assert logged(cast.acme) == []


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("cap_usd", "0", "Write an amount above zero."),
        ("cap_usd", "-5", "Write an amount above zero."),
        ("cap_usd", "", "Write how much may be spent at most."),
        ("cap_usd", "ten", "Write an amount in dollars, such as 25 or 2.50."),
        ("cap_usd", "NaN", "Write an amount in dollars, such as 25 or 2.50."),
        ("cap_usd", "Infinity", "Write an amount in dollars, such as 25 or 2.50."),
        ("cap_usd", "1000000.01", "No budget is above $1,000,000."),
        ("cap_usd", "1" + "0" * 40, "No budget is above $1,000,000."),
        ("cap_usd", "0.0000001", "Amounts have six decimal places at most."),
        ("soft_percent", "0", "Write a number of percent from 1 to 100."),
        ("soft_percent", "101", "Write a number of percent from 1 to 100."),
        ("soft_percent", "-1", "Write a number of percent from 1 to 100."),
        ("soft_action", "explode", "Select a valid choice."),
        ("period", "year", "Select a valid choice."),
        ("who", "workspace:x", "Select a valid choice."),
        ("who", "", "This field is required."),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(
    cast: Cast, alice: Client, field: str, value: str, said: str
) -> None:
    page = alice.post(f"{HERE}add/", {**NEW, field: value})

    assert said in text(page)
    assert all_of(cast.acme) == []


def test_nobody_of_another_workspace_can_be_budgeted(cast: Cast, alice: Client) -> None:
    with tenant_context(cast.globex):
        key = ApiKey.objects.create(name="Theirs", digest="e" * 64, last_four="abcd")

    for who in (f"user:{cast.charlie.pk}", f"api_key:{key.pk}", f"user:{uuid.uuid4()}"):
        page = alice.post(f"{HERE}add/", {**NEW, "who": who})
        assert "Select a valid choice." in text(page)
    assert "Theirs" not in text(page) and "charlie" not in text(page)
    assert all_of(cast.acme) == []


def test_there_is_one_for_a_scope_subject_and_period(cast: Cast, alice: Client) -> None:
    alice.post(f"{HERE}add/", NEW)

    assert "There is such a budget already." in text(alice.post(f"{HERE}add/", {**NEW, "cap_usd": "11"}))
    assert alice.post(f"{HERE}add/", {**NEW, "period": "day"}).url == HERE
    assert alice.post(f"{HERE}add/", {**NEW, "who": "user:"}).url == HERE
    assert [cap for *_, cap, _ in all_of(cast.acme)] == [10, 10, 10]


def test_a_cap_below_what_is_spent_is_allowed_and_says_so(cast: Cast, alice: Client) -> None:
    with tenant_context(cast.acme):
        spend("12.30")

    page = alice.post(f"{HERE}add/", NEW, follow=True)

    assert "$12.30 of $10.00 are spent already. Calls are refused until it resets." in text(page)
    assert all_of(cast.acme) == [("workspace", "", "month", 10, True)]


def test_gauges_show_what_is_spent_and_held(cast: Cast, alice: Client, key: ApiKey) -> None:
    with tenant_context(cast.acme):
        budget(10)
        budget(2, "user")
        budget(4, "user", cast.alice.pk)
        budget(3, "api_key", key.pk, period="day", is_hard=False)
        budget(1, "feature", "search")
        spend("1.25", user=cast.bob)
        spend("3", user=cast.alice)
        spend("3.5", api_key=key)
        begin("0.50", user=cast.bob)

    page = alice.get(HERE)
    said = text(page)

    assert "The whole workspace $10.00 a month." in said and "$7.75 of $10.00 $0.50 held" in said
    assert "Each person $2.00 a month." in said and "bob@acme.example $1.25 of $2.00 $0.50 held" in said
    assert "alice@acme.example $4.00 a month." in said and "$3.00 of $4.00" in said
    assert "API key Nightly …wxyz Warns only $3.00 a day." in said and "$3.50 of $3.00 Used up" in said
    assert "Feature search $1.00 a month." in said and "$0.00 of $1.00" in said
    assert 'aria-label="77 % spent, $0.50 held by calls under way"' in page.content.decode()


def test_what_another_workspace_spends_shows_nowhere(cast: Cast, alice: Client) -> None:
    with tenant_context(cast.acme):
        budget(10)
        budget(10, "user")
    with tenant_context(cast.globex):
        spend("7.77", user=cast.charlie, feature="secret")

    for path in (HERE, f"{HERE}add/", "/t/acme/usage/"):
        said = text(alice.get(path))
        assert "7.77" not in said and "charlie" not in said and "secret" not in said


def test_the_fullest_of_many_are_shown(cast: Cast, alice: Client) -> None:
    with tenant_context(cast.acme):
        budget(10, "feature", period="day")
        for number in range(1, 8):
            spend(number, feature=f"feature-{number}")

    said = text(alice.get(HERE))

    assert [f"feature-{number}" in said for number in range(1, 8)] == [False, False, True, True, True, True, True]
    assert "others have used less" in said


def test_budgets_of_those_who_are_gone_say_so(cast: Cast, alice: Client, key: ApiKey) -> None:
    with tenant_context(cast.acme):
        budget(5, "user", cast.bob.pk)
        budget(5, "api_key", key.pk)
        budget(5, "api_key", uuid.uuid4())
        budget(5, "user", uuid.uuid4())
        ApiKey.objects.update(revoked_at=timezone.now())
        leave(Membership.objects.get(user=cast.bob))

    said = text(alice.get(HERE))

    assert "bob@acme.example no longer a member" in said
    assert "Nightly …wxyz revoked" in said
    assert "An API key deleted" in said
    assert "Somebody whose account is deleted no longer a member" in said
    with tenant_context(cast.acme):
        for each in Budget.objects.all():
            assert alice.get(f"{HERE}{each.pk}/").status_code == 200


def test_limits_of_the_plan_are_shown(cast: Cast, alice: Client) -> None:
    assert "Requests a minute, of each person No limit Tokens today, of everybody 0 used, with no limit" in text(
        alice.get(HERE)
    )
    with tenant_context(cast.acme):
        Tenant.objects.update(requests_per_minute=30, tokens_per_day=100_000)
        run = begin(0, tokens=2_500)

    assert run.error is None
    assert "of each person 30 Tokens today, of everybody 2,500 of 100,000 used" in text(alice.get(HERE))


def test_members_see_ones_own_budget_alone(cast: Cast, alice: Client) -> None:
    with tenant_context(cast.acme):
        budget(100)
        budget(5, "user")
        budget(8, "user", cast.bob.pk, period="day")
        budget(9, "feature", "chat")
        spend("1.5", user=cast.bob)
        spend("2.25", user=cast.alice)

    bobs, alices = text(signed_in(cast.bob).get("/t/acme/usage/")), text(alice.get("/t/acme/usage/"))

    assert "You, a day $1.50 of $8.00" in bobs and "$6.50 left." in bobs
    assert "You, a month $1.50 of $5.00" in bobs and "$3.50 left." in bobs
    assert "The workspace, a month" not in bobs and "$100.00" not in bobs and "2.25" not in bobs
    assert "The workspace, a month $3.75 of $100.00" in alices and "You, a month $2.25 of $5.00" in alices


def banner(client: Client, path: str = "/t/acme/documents/") -> str:
    found = re.search(r'<aside class="budget-banner.*?</aside>', client.get(path).content.decode(), re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", found[0]).split()) if found else ""


def test_a_banner_tells_owners_and_admins_until_it_is_dismissed(cast: Cast, alice: Client) -> None:
    admin = signed_in(someone(cast, "admin"))
    with tenant_context(cast.acme):
        budget(10)
        spend("7.9")
    assert banner(alice) == ""

    with tenant_context(cast.acme):
        spend("0.2")
    assert f"80 % of the workspace’s budget for {timezone.now():%B %Y} is spent : $8.10 of $10.00." in banner(alice)
    assert "80 %" in banner(admin)
    assert banner(signed_in(cast.bob)) == "" and banner(signed_in(cast.charlie), "/t/globex/documents/") == ""

    assert alice.post(f"{HERE}alerts/dismiss/", headers={"HX-Request": "true"}).content == b""
    assert (banner(alice), "80 %" in banner(admin)) == ("", True)

    with tenant_context(cast.acme):
        budget("2", "user")
        spend("1.9", user=cast.bob)
    assert "1 more in budgets" in banner(alice)
    assert "is used up : $10.00 of $10.00. Calls that could go beyond it are refused. It resets" in banner(alice)
    assert banner(alice).count("budget for") == 1


def test_dismissing_without_a_script_leads_back(cast: Cast, alice: Client) -> None:
    def back(referer: str) -> str:
        return alice.post(f"{HERE}alerts/dismiss/", headers={"Referer": referer}).url

    assert back("http://testserver/t/acme/documents/") == "http://testserver/t/acme/documents/"
    assert back("https://elsewhere.example/") == HERE


def test_a_higher_cap_takes_the_alert_back_and_gives_it_anew(cast: Cast, alice: Client) -> None:
    with tenant_context(cast.acme):
        made = budget(10)
        spend("9")
    assert "80 %" in banner(alice)

    alice.post(f"{HERE}{made.pk}/", {**NEW, "cap_usd": "100"})
    assert banner(alice) == ""

    with tenant_context(cast.acme):
        assert len(spend("75")) == 2  # 50 % and 80 %
        assert sorted(Alert.objects.values_list("percent", flat=True)) == [50, 80]


def test_both_admins_show_budgets(cast: Cast, alice: Client) -> None:
    with tenant_context(cast.acme):
        made = budget(10, "user", cast.bob.pk)

    assert "bob@acme.example" in text(alice.get("/t/acme/admin/runs/budget/"))
    assert "bob@acme.example" in text(alice.get(f"/t/acme/admin/runs/budget/{made.pk}/change/"))
    assert "bob@acme" not in text(signed_in(cast.charlie).get("/t/globex/admin/runs/budget/"))
