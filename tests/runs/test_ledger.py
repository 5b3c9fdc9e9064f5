"""The ledger against a model of it in plain Python: whatever happens to calls, in any order.

The model keeps a list of calls and adds up; the ledger keeps counters. After each step they must agree, and a call is
let in exactly when the model would.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Q, Sum
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from apps.runs import ledger
from apps.runs.models import Alert, Budget, Run, Spend
from apps.tenants.context import tenant_context
from apps.tenants.models import ApiKey, Tenant, User
from apps.tenants.signup import create_workspace

from .budgeting import FAR, Clock, begin, finish, stopped_clock, usd

Key = tuple[str, str]
SCOPES = ("workspace", "user", "feature", "api_key")
FEATURES = ("chat", "search")
MICRO = Decimal("0.000001")
amounts = st.one_of(st.integers(0, 2_000_000), st.sampled_from([0, 1, 500_000, 1_000_000])).map(lambda n: n * MICRO)
caps = st.one_of(st.integers(1_000_000, 20_000_000), st.sampled_from([1, 1_000_000, 2_000_000])).map(
    lambda n: n * MICRO
)
BUDGET = {
    "scope": st.sampled_from(SCOPES),
    "is_each": st.booleans(),
    "period": st.sampled_from(["day", "month"]),
    "cap": caps,
    "is_hard": st.sampled_from([True, True, False]),
    "soft_action": st.sampled_from(["notify", "degrade"]),
}
numbers = itertools.count()


@dataclass
class Call:
    """What the model knows of a call that was let in."""

    run: Run
    keys: tuple[Key, ...]
    day: date
    reserved: Decimal
    reserved_tokens: int
    cost: Decimal | None = None  # None while it is open
    tokens: int = 0
    is_lost: bool = False

    def is_in(self, period: str, start: date) -> bool:
        return (self.day if period == "day" else self.day.replace(day=1)) == start


class Calls(RuleBasedStateMachine):
    runs = Bundle("runs")
    clock: Clock  # set by the test

    @initialize(
        budgets=st.lists(st.fixed_dictionaries(BUDGET), max_size=4),
        requests=st.sampled_from([None, None, None, 2]),
        tokens=st.sampled_from([None, None, 3_000]),
    )
    def enter(self, budgets: list[dict[str, Any]], requests: int | None, tokens: int | None) -> None:
        """A workspace of its own for each example, so that nothing need be cleared."""
        number = next(numbers)
        self.people = [User.objects.create_user(f"p{number}-{n}@calls.example", None) for n in range(2)]
        self.tenant = create_workspace(f"Calls {number}", owner=self.people[0])
        self.context = tenant_context(self.tenant)
        self.context.__enter__()
        self.api_key = ApiKey.objects.create(name="k", digest=f"{number:064}", last_four="0000")
        self.clock.set(FAR)
        self.calls: list[Call] = []
        self.asked: list[tuple[Any, ...]] = []  # (user, key, time) of what was let in, for requests per minute
        self.counted: dict[Key, date] = {}  # the day that each counter is at
        self.given: set[tuple[Any, ...]] = set()
        Tenant.objects.filter(pk=self.tenant.pk).update(requests_per_minute=requests, tokens_per_day=tokens)
        for values in budgets:
            self.put(**values)

    def teardown(self) -> None:
        self.context.__exit__(None, None, None)

    # --- What the model says

    def keys_of(self, user: User | None, feature: str, key: ApiKey | None) -> tuple[Key, ...]:
        found = [("workspace", ""), ("feature", feature)]
        found += [("user", str(user.pk))] if user else []
        found += [("api_key", str(key.pk))] if key else []
        return tuple(sorted(found, key=lambda each: SCOPES.index(each[0])))

    def start(self, key: Key, period: str) -> date:
        day = self.counted[key]
        return day if period == "day" else day.replace(day=1)

    def spent(self, key: Key, period: str) -> Decimal:
        start = self.start(key, period)
        return sum(
            (c.cost for c in self.calls if key in c.keys and c.is_in(period, start) and c.cost is not None), usd(0)
        )

    def reserved(self, key: Key, period: str) -> Decimal:
        start = self.start(key, period)
        return sum(
            (c.reserved for c in self.calls if key in c.keys and c.is_in(period, start) and c.cost is None), usd(0)
        )

    def tokens_today(self) -> tuple[int, int]:
        """Used, and held by open calls."""
        key: Key = ("workspace", "")
        today = [c for c in self.calls if c.is_in("day", self.start(key, "day"))]
        return sum(c.tokens for c in today if c.cost is not None), sum(
            c.reserved_tokens for c in today if c.cost is None
        )

    def holding(self, keys: tuple[Key, ...]) -> Iterator[tuple[Budget, Key]]:
        """One's own budget replaces the one that each has."""
        budgets = list(Budget.objects.all())
        for key, period in itertools.product(keys, ("day", "month")):
            of_period = {each.subject: each for each in budgets if (each.scope, each.period) == (key[0], period)}
            if found := of_period.get(key[1]) or of_period.get(""):
                yield found, key

    def too_many_requests(self, user: User | None, key: ApiKey | None) -> bool:
        limit = Tenant.objects.get(pk=self.tenant.pk).requests_per_minute
        if limit is None or not (user or key):
            return False
        since = self.clock.now - timedelta(minutes=1)
        mine = [at for who, what, at in self.asked if at > since and (who == user if user else what == key)]
        return len(mine) >= limit

    def refusal(self, keys: tuple[Key, ...], usd: Decimal, tokens: int) -> str:
        for each, key in self.holding(keys):
            spent = self.spent(key, each.period)
            if usd and each.is_hard and spent + self.reserved(key, each.period) + usd > each.cap_usd:
                return "budget_spent" if spent + usd > each.cap_usd else "budget_busy"
        limit = Tenant.objects.get(pk=self.tenant.pk).tokens_per_day
        return "too_many_tokens" if tokens and limit is not None and sum(self.tokens_today()) + tokens > limit else ""

    def is_tight(self, keys: tuple[Key, ...], usd: Decimal) -> bool:
        for each, key in self.holding(keys):
            taken = self.spent(key, each.period) + self.reserved(key, each.period)
            is_soft = taken >= each.cap_usd * each.soft_percent / 100
            if each.soft_action == "degrade" and (is_soft or (each.is_hard and taken + usd > each.cap_usd)):
                return True
        return False

    def due(self, keys: tuple[Key, ...]) -> set[tuple[Any, ...]]:
        """Every alert that should have been given, now that a call with these keys was settled."""
        return {
            (each.pk, key[1], self.start(key, each.period), percent)
            for each, key in self.holding(keys)
            for percent in {*Alert.PERCENTS, each.soft_percent}
            if self.spent(key, each.period) * 100 >= each.cap_usd * percent
        }

    # --- What may happen

    @rule(
        target=runs,
        who=st.integers(-1, 1),
        feature=st.sampled_from(FEATURES),
        has_key=st.booleans(),
        reserve=amounts,
        tokens=st.integers(0, 400),
        has_cheap=st.booleans(),
    )
    def begin(
        self, who: int, feature: str, has_key: bool, reserve: Decimal, tokens: int, has_cheap: bool
    ) -> Call | None:
        user, key = (self.people[who] if who >= 0 else None), (self.api_key if has_key else None)
        keys = self.keys_of(user, feature, key)
        cheap = {"tier": "cheap", "reserved_usd": usd(reserve / 2), "reserved_tokens": tokens}
        expected, is_cheap = "too_many_requests", False
        if not self.too_many_requests(user, key):
            self.counted |= dict.fromkeys(keys, self.clock.now.date())
            is_cheap = has_cheap and self.is_tight(keys, reserve)
            expected = self.refusal(keys, cheap["reserved_usd"] if is_cheap else reserve, tokens)
        self.counted.setdefault(("workspace", ""), datetime.now(UTC).date())

        run = begin(reserve, tokens=tokens, cheap=cheap if has_cheap else None, user=user, feature=feature, api_key=key)

        assert run.error_code == expected
        stored = Run.objects.get(pk=run.pk)
        assert (stored.status, stored.reserved_usd, stored.tier) == (run.status, run.reserved_usd, run.tier)
        assert stored.reserved_tokens == run.reserved_tokens
        if expected:
            self.check_refused(run, keys)
            return multiple()
        assert run.tier == ("cheap" if is_cheap else "standard")
        assert run.reserved_usd == (cheap["reserved_usd"] if is_cheap else reserve)
        self.asked.append((user, key, self.clock.now))
        call = Call(run, keys, self.clock.now.date(), run.reserved_usd, tokens)
        self.calls.append(call)
        return call

    def check_refused(self, run: Run, keys: tuple[Key, ...]) -> None:
        """It says when to come back, and gives the alert that its budget has no room."""
        assert (run.status, run.cost_usd, run.reserved_usd) == ("refused", 0, 0)
        if run.error_code == "too_many_requests":
            assert run.error.resets_at is None or self.clock.now < run.error.resets_at <= self.clock.now + timedelta(
                minutes=1
            )
        else:
            assert run.error.resets_at > self.clock.now
        if run.error_code == "budget_spent":
            refused_by = [
                each
                for each, key in self.holding(keys)
                if (each.scope, each.period) == (run.error.scope, run.error.period)
            ]
            (each,) = refused_by
            expected = self.due(keys) | {
                (each.pk, run.error.subject, self.start((each.scope, run.error.subject), each.period), 100)
            }
            assert len(run.alerts) == len(expected - self.given)
            self.given |= expected

    @rule(
        call=runs,
        share=st.integers(0, 100),
        tokens=st.integers(0, 400),
        status=st.sampled_from(["ok", "stopped", "failed"]),
    )
    def settle(self, call: Call, share: int, tokens: int, status: str) -> None:
        """The first time; a run that was given up as lost is corrected. Any further time nothing happens."""
        is_news = call.cost is None or call.is_lost
        cost = (call.reserved * share / 100).quantize(MICRO)
        if is_news:
            call.cost, call.tokens, call.is_lost = cost, tokens, False

        alerts = finish(call.run, cost, tokens=tokens, status=status)

        due = self.due(call.keys) if is_news else set()
        assert len(alerts) == len(due - self.given)
        self.given |= due

    @rule(call=runs)
    def sweep(self, call: Call) -> None:
        """Its process died. Called again, or after its end, it changes nothing."""
        was_open = call.cost is None
        if was_open:
            call.cost, call.tokens, call.is_lost = call.reserved, call.reserved_tokens, True

        closed, alerts = ledger.close_lost(self.tenant.pk, call.run.pk)

        assert closed == was_open
        due = self.due(call.keys) if was_open else set()
        assert len(alerts) == len(due - self.given)
        self.given |= due

    @rule(call=runs, more=amounts, tokens=st.integers(0, 200))
    def extend(self, call: Call, more: Decimal, tokens: int) -> None:
        has_room = call.cost is None and all(
            not each.is_hard or self.spent(key, each.period) + self.reserved(key, each.period) + more <= each.cap_usd
            for each, key in self.holding(call.keys)
        )
        limit = Tenant.objects.get(pk=self.tenant.pk).tokens_per_day
        has_room = has_room and call.day == self.counted["workspace", ""]  # nothing is added to a day that is over
        has_room = has_room and (limit is None or sum(self.tokens_today()) + tokens <= limit)

        assert ledger.extend(call.run, usd=more, tokens=tokens) == has_room

        if has_room:
            call.reserved += more
            call.reserved_tokens += tokens

    @rule(**BUDGET)
    def set_budget(self, **values: Any) -> None:
        self.put(**values)

    def put(self, scope: str, is_each: bool, period: str, cap: Decimal, is_hard: bool, soft_action: str) -> None:
        own = {"user": self.people[0].pk, "feature": "chat", "api_key": self.api_key.pk}
        subject = "" if is_each or scope == "workspace" else str(own[scope])
        values = {"cap_usd": cap, "is_hard": is_hard, "soft_action": soft_action}
        Budget.objects.update_or_create(scope=scope, subject=subject, period=period, defaults=values)

    @rule(number=st.integers(0, 9))
    def remove_budget(self, number: int) -> None:
        if each := next(iter(Budget.objects.order_by("pk")[number : number + 1]), None):
            self.given = {alert for alert in self.given if alert[0] != each.pk}
            each.delete()

    @rule(by=st.sampled_from([{"seconds": 20}, {"seconds": 60}, {"hours": 3}, {"days": 1}]))
    def time_passes(self, by: dict[str, int]) -> None:
        self.clock.forward(**by)

    # --- What is always so

    @invariant()
    def counters_are_the_sum_of_calls(self) -> None:
        for spend in Spend.objects.all():
            key = (spend.scope, spend.subject)
            if key not in self.counted:
                continue
            assert (spend.day, spend.month) == (self.start(key, "day"), self.start(key, "month"))
            assert (spend.day_usd, spend.day_reserved_usd) == (self.spent(key, "day"), self.reserved(key, "day"))
            assert (spend.month_usd, spend.month_reserved_usd) == (
                self.spent(key, "month"),
                self.reserved(key, "month"),
            )
            if key == ("workspace", ""):
                assert (spend.day_tokens, spend.day_reserved_tokens) == self.tokens_today()

    @invariant()
    def rows_say_the_same(self) -> None:
        closed, is_open = ~Q(status="running"), Q(status="running")
        sums = Run.objects.aggregate(cost=Sum("cost_usd", filter=closed), reserved=Sum("reserved_usd", filter=is_open))
        assert (sums["cost"] or 0) == sum(c.cost for c in self.calls if c.cost is not None)
        assert (sums["reserved"] or 0) == sum(c.reserved for c in self.calls if c.cost is None)


def test_the_ledger_agrees_with_its_model(db: None) -> None:
    with stopped_clock() as clock:
        Calls.clock = clock
        run_state_machine_as_test(
            Calls,
            settings=settings(
                max_examples=40,
                stateful_step_count=30,
                deadline=None,
                database=None,
                report_multiple_bugs=False,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            ),
        )
