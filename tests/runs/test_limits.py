"""What the ledger refuses, and what it says then: scope, cap and when it resets. A refused call uses nothing."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from apps.runs import ledger, refusals
from apps.runs.models import Alert, Run, Spend
from apps.tenants.context import tenant_context
from apps.tenants.models import ApiKey, Tenant, User
from tests.conftest import Cast

from .budgeting import Clock, begin, budget, counter, finish, spend, stopped_clock, usd

NOON = datetime(2040, 1, 30, 12, tzinfo=UTC)
TOMORROW, FEBRUARY = datetime(2040, 1, 31, tzinfo=UTC), datetime(2040, 2, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def clock(cast: Cast) -> Iterator[Clock]:
    with tenant_context(cast.acme), stopped_clock(NOON) as clock:
        yield clock


def allow(**limits: int | None) -> None:
    Tenant.objects.update(**limits)


def test_a_refused_call_is_written_and_uses_nothing(clock: Clock) -> None:
    budget(1, period="day")
    spend("0.4")

    run = begin("0.7")

    assert isinstance(run.error, refusals.BudgetSpent)
    assert (run.error.scope, run.error.period, run.error.cap_usd) == ("workspace", "day", usd(1))
    assert (run.error.spent_usd, run.error.needed_usd, run.error.resets_at) == (usd("0.4"), usd("0.7"), TOMORROW)
    assert (
        run.error.message
        == "The workspace has reached its daily budget of $1.00: $0.60 are left, and this could cost $0.70."
    )
    assert run.error.http_status == 429 and run.error.retry_after_s > 0
    stored = Run.objects.get(pk=run.pk)
    assert (stored.status, stored.error_code, stored.cost_usd) == ("refused", "budget_spent", 0)
    assert (stored.reserved_usd, stored.reserved_tokens) == (0, 0)
    assert (counter().day_usd, counter().day_reserved_usd, counter().day_reserved_tokens) == (usd("0.4"), 0, 0)


def test_what_fits_exactly_is_let_in(clock: Clock) -> None:
    budget(1)

    assert begin("0.999999").error is None
    assert begin("0.000001").error is None
    assert begin("0.000001").error_code == "budget_busy"


def test_what_calls_under_way_hold_comes_back(clock: Clock) -> None:
    budget(1)
    held = begin("0.9")

    busy = begin("0.2")
    assert isinstance(busy.error, refusals.BudgetBusy) and busy.error.retry_after_s == refusals.BUSY_RETRY_S
    assert busy.alerts == ()

    finish(held, "0.1")
    assert begin("0.2").error is None


def test_all_scopes_or_none(clock: Clock, cast: Cast) -> None:
    budget(10)
    budget(5, "user")
    budget(1, "feature", "chat")

    refused = begin("2", user=cast.bob)

    assert (refused.error.scope, refused.error.subject) == ("feature", "chat")
    assert begin("2", user=cast.bob, feature="search").error is None
    assert begin("4", user=cast.bob, feature="search").error_code == "budget_busy"
    assert begin("4", user=cast.alice, feature="search").error is None
    assert {(s.scope, s.month_reserved_usd) for s in Spend.objects.exclude(subject__in=[str(cast.alice.pk)])} == {
        ("workspace", 6),
        ("user", 2),
        ("feature", 6),
        ("feature", 0),
    }


def test_ones_own_budget_replaces_that_of_each_for_its_period(clock: Clock, cast: Cast) -> None:
    budget(1, "user")
    budget(3, "user", cast.bob.pk)
    budget(2, "user", period="day")

    assert begin("1.5", user=cast.alice).error.cap_usd == usd(1)
    assert begin("2", user=cast.bob).error is None  # more than each has in a month
    assert begin("0.5", user=cast.bob).error.cap_usd == usd(2)  # which each has in a day still holds


def test_a_soft_budget_refuses_nothing(clock: Clock) -> None:
    budget(1, is_hard=False)
    run = begin("5")

    assert run.error is None
    assert ledger.extend(run, usd=usd(5), tokens=10)
    assert begin("5").error is None


def test_an_extension_stays_within_hard_budgets(clock: Clock) -> None:
    budget(1)
    run = begin("0.5")

    assert not ledger.extend(run, usd=usd("0.500001"), tokens=0)
    assert ledger.extend(run, usd=usd("0.5"), tokens=50)
    assert (counter().month_reserved_usd, Run.objects.get().reserved_usd, run.reserved_usd) == (1, 1, 1)

    finish(run, "0.8")
    assert (counter().month_usd, counter().month_reserved_usd) == (usd("0.8"), 0)
    assert not ledger.extend(run, usd=usd("0.1"), tokens=0)


def test_a_soft_limit_makes_calls_cheap(clock: Clock) -> None:
    budget(1, soft_action="degrade", soft_percent=50)
    cheap = {"tier": "cheap", "model": "small", "reserved_usd": usd("0.1"), "reserved_tokens": 7}
    assert begin("0.3", cheap=cheap).tier == "standard"
    assert begin("0.3", cheap=cheap).tier == "standard"

    run = begin("0.3", cheap=cheap)

    assert (run.tier, run.model, run.reserved_usd) == ("cheap", "small", usd("0.1"))
    assert Run.objects.values_list("tier", "model", "reserved_tokens").get(pk=run.pk) == ("cheap", "small", 7)
    assert counter().month_reserved_usd == usd("0.7")


def test_a_call_that_would_not_fit_is_made_cheap_first(clock: Clock) -> None:
    budget(1, soft_action="degrade", soft_percent=100)
    cheap = {"tier": "cheap", "reserved_usd": usd("0.5"), "reserved_tokens": 7}

    assert begin("2", cheap=cheap).tier == "cheap"
    assert begin("2", cheap=cheap).tier == "cheap"
    assert begin("2", cheap=cheap).error_code == "budget_busy"


def test_midnight_begins_a_day_and_keeps_the_month(clock: Clock) -> None:
    budget(1, period="day")
    budget(2)
    clock.set(TOMORROW - timedelta(seconds=1))
    assert begin("1").error is None
    assert begin("1").error.resets_at == TOMORROW

    clock.set(TOMORROW)
    assert begin("1").error is None
    assert begin("1", feature="search").error.period == "day"
    clock.set(FEBRUARY - timedelta(seconds=1))
    assert begin("1").error.resets_at == FEBRUARY

    clock.set(FEBRUARY)
    assert begin("1").error is None


def test_a_call_over_midnight_is_counted_when_it_began(clock: Clock) -> None:
    clock.set(TOMORROW - timedelta(seconds=1))
    over_midnight = begin("1", tokens=100)
    clock.set(TOMORROW)
    spend("0.5")

    finish(over_midnight, "0.7")

    now = counter()
    assert (now.day_usd, now.day_reserved_usd, now.day_reserved_tokens) == (usd("0.5"), 0, 0)
    assert (now.month_usd, now.month_reserved_usd) == (usd("1.2"), 0)


def test_settling_twice_counts_once(clock: Clock) -> None:
    run = begin("1")
    finish(run, "0.4")
    finish(run, "0.9")

    assert (counter().month_usd, Run.objects.get().cost_usd) == (usd("0.4"), usd("0.4"))


def test_requests_per_minute_are_of_one_person(clock: Clock, cast: Cast) -> None:
    allow(requests_per_minute=2)
    assert [begin(0, user=cast.alice).error for _ in range(2)] == [None, None]
    clock.forward(seconds=20)

    refused = begin(0, user=cast.alice)

    assert isinstance(refused.error, refusals.TooManyRequests)
    assert (refused.error.resets_at, refused.error.message) == (
        NOON + MINUTE,
        "That is more than 2 requests in one minute.",
    )
    assert begin(0, user=cast.bob).error is None
    assert begin(0, user=cast.alice, purpose=Run.Purpose.JUDGE).error is None  # made for another call
    clock.set(NOON + MINUTE)
    assert begin(0, user=cast.alice).error is None


def test_refused_requests_do_not_count(clock: Clock, cast: Cast) -> None:
    """Else whoever tries again in vain would never get in."""
    allow(requests_per_minute=1)
    assert begin(0, user=cast.alice).error is None
    for _ in range(5):
        clock.forward(seconds=11)
        assert begin(0, user=cast.alice).error.resets_at == NOON + MINUTE

    clock.set(NOON + MINUTE)
    assert begin(0, user=cast.alice).error is None


def test_a_key_has_requests_of_its_own(clock: Clock, cast: Cast) -> None:
    allow(requests_per_minute=1)
    keys = [ApiKey.objects.create(name="k", digest=f"{n:064}", last_four="0000") for n in range(2)]

    assert [begin(0, api_key=key).error_code for key in (*keys, *keys)] == ["", "", *["too_many_requests"] * 2]


def test_no_requests_at_all_never_ends(clock: Clock, cast: Cast) -> None:
    allow(requests_per_minute=0)

    refused = begin(0, user=cast.alice)

    assert (refused.error.resets_at, refused.error.retry_after_s) == (None, None)


def test_tokens_per_day_are_of_everybody(clock: Clock, cast: Cast) -> None:
    allow(tokens_per_day=1_000)
    finish(begin(0, tokens=600, user=cast.alice), 0, tokens=300)
    held = begin(0, tokens=700, user=cast.bob)

    refused = begin(0, tokens=1, user=cast.alice)

    assert isinstance(refused.error, refusals.TooManyTokens)
    assert refused.error.resets_at == TOMORROW
    assert (counter().day_tokens, counter().day_reserved_tokens) == (300, 700)
    finish(held, 0, tokens=100)
    assert begin(0, tokens=600, user=cast.alice).error is None
    assert begin(0, tokens=1, user=cast.alice).error_code == "too_many_tokens"
    clock.set(TOMORROW)
    assert begin(0, tokens=1_000, user=cast.alice).error is None


def test_other_workspaces_share_nothing(clock: Clock, cast: Cast) -> None:
    budget(1)
    spend("1")
    assert begin("0.1").error_code == "budget_spent"

    with tenant_context(cast.globex):
        assert begin("5", user=cast.charlie).error is None
        assert Alert.objects.count() == 0
        assert counter().month_reserved_usd == Decimal(5)


def test_a_refusal_tells_of_a_full_budget_once_a_period(clock: Clock) -> None:
    budget(1, period="day")
    spend("0.9")

    assert [len(begin("0.2").alerts) for _ in range(3)] == [1, 0, 0]
    assert list(Alert.objects.order_by("percent").values_list("percent", "spent_usd")) == [
        (50, usd("0.9")),
        (80, usd("0.9")),
        (100, usd("0.9")),
    ]
    clock.set(TOMORROW)
    assert len(spend("0.6")) == 1


def test_a_person_who_is_gone_keeps_what_was_spent(clock: Clock) -> None:
    user = User.objects.create_user("gone@acme.example", None)
    spend("1", user=user)
    spent = str(user.pk)
    user.delete()

    assert counter("user", spent).month_usd == 1
    assert Run.objects.get().user is None
