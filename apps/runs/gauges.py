"""How far budgets are used in the period under way, for pages and mails. What decides a call is in the ledger.

standings()             every budget of the workspace, with a gauge for each who has spent most of it
of_workspace()          the workspace's own alone
of(user)                the budgets that hold for one person
tokens_today(tenant)    the other limit, which the plan sets
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Any
from uuid import UUID

from django.db.models import F
from django.utils import timezone

from apps.tenants.models import ApiKey, Membership, Tenant, User

from .models import Budget, Spend
from .models.budget import Scope
from .refusals import dollars

MOST_SUBJECTS = 5
EACH = {
    Scope.WORKSPACE: "The whole workspace",
    Scope.USER: "Each person",
    Scope.FEATURE: "Each feature",
    Scope.API_KEY: "Each API key",
}
Key = tuple[str, str]  # a scope, and a subject of it


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose calls are counted: `name` for a person to read; `gone` says why it makes none any more."""

    name: str
    gone: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.gone})" if self.gone else self.name


YOU = Subject("You")


@dataclass(frozen=True, slots=True)
class Gauge:
    """What one subject has used of a budget. `percent` is of the cap and may be above 100."""

    subject: Subject
    spent_usd: Decimal
    reserved_usd: Decimal
    budget: Budget
    resets_at: datetime

    @property
    def left_usd(self) -> Decimal:
        return max(Decimal(0), self.budget.cap_usd - self.spent_usd - self.reserved_usd)

    @property
    def cap(self) -> str:
        return dollars(self.budget.cap_usd)

    @property
    def spent(self) -> str:
        return about(self.spent_usd)

    @property
    def reserved(self) -> str:
        return about(self.reserved_usd) if self.reserved_usd else ""

    @property
    def left(self) -> str:
        return about(self.left_usd)

    @property
    def percent(self) -> int:
        return int(self.spent_usd * 100 / self.budget.cap_usd)

    @property
    def held_percent(self) -> int:
        """With what calls that are under way could still take."""
        return int((self.spent_usd + self.reserved_usd) * 100 / self.budget.cap_usd)

    @property
    def level(self) -> str:
        if self.spent_usd >= self.budget.cap_usd:
            return "spent"
        return "soft" if self.percent >= self.budget.soft_percent else "fine"


@dataclass(frozen=True, slots=True)
class Standing:
    """A budget, whose it is, and its gauges: one, or, where each has it, those of the subjects that spent most."""

    budget: Budget
    subject: Subject
    gauges: list[Gauge]
    is_each: bool
    has_more: bool

    @property
    def limit(self) -> str:
        return dollars(self.budget.cap_usd)


def period_start(period: str, at: datetime) -> date:
    """The first day of the UTC day or month that `at` is in."""
    day = at.astimezone(UTC).date()
    return day if period == Budget.Period.DAY else day.replace(day=1)


def period_end(period: str, start: date) -> datetime:
    """The moment at which budgets of the period that began at `start` are whole again."""
    following = start + timedelta(days=1 if period == Budget.Period.DAY else 32)
    first = following if period == Budget.Period.DAY else following.replace(day=1)
    return datetime.combine(first, time(), UTC)


def standings(at: datetime | None = None) -> list[Standing]:
    """The workspace's budgets, by scope, subject and period."""
    at = at or timezone.now()
    budgets = sorted(Budget.objects.all(), key=lambda each: (Scope.values.index(each.scope), each.subject, each.period))
    counters = {
        (spend.scope, spend.subject): spend
        for spend in Spend.objects.filter(subject__in={budget.subject for budget in budgets})
    }
    fullest = {budget.pk: fullest_of(budget, budgets, at) for budget in budgets if is_each(budget)}
    keys = {(budget.scope, budget.subject) for budget in budgets}
    known = subjects(keys | {(spend.scope, spend.subject) for spends in fullest.values() for spend in spends})
    return [
        Standing(
            budget,
            known[budget.scope, budget.subject],
            [
                gauge(budget, spend, known[spend.scope, spend.subject], at)
                for spend in fullest[budget.pk][:MOST_SUBJECTS]
            ]
            if is_each(budget)
            else [gauge(budget, counters.get((budget.scope, budget.subject)), known[budget.scope, budget.subject], at)],
            is_each(budget),
            has_more=len(fullest.get(budget.pk, ())) > MOST_SUBJECTS,
        )
        for budget in budgets
    ]


def standing(budget: Budget) -> Standing:
    return next(each for each in standings() if each.budget == budget)


def of_workspace(at: datetime | None = None) -> list[Gauge]:
    """What everybody together has used of the workspace's own budgets."""
    at = at or timezone.now()
    spend = Spend.objects.filter(scope=Scope.WORKSPACE).first()
    budgets = Budget.objects.filter(scope=Scope.WORKSPACE).order_by("period")
    return [gauge(budget, spend, Subject(EACH[Scope.WORKSPACE]), at) for budget in budgets]


def of(user: User, at: datetime | None = None) -> list[Gauge]:
    """What `user` has used of the budgets for one person: their own, else those that each person has."""
    at = at or timezone.now()
    budgets = Budget.objects.filter(scope=Scope.USER, subject__in=["", str(user.pk)]).order_by("period", "subject")
    holding = {budget.period: budget for budget in budgets}  # one's own come last
    spend = Spend.objects.filter(scope=Scope.USER, subject=str(user.pk)).first()
    return [gauge(budget, spend, YOU, at) for budget in holding.values()]


def is_each(budget: Budget) -> bool:
    """Whether every subject of its scope has it, and not one."""
    return not budget.subject and budget.scope != Scope.WORKSPACE


def fullest_of(budget: Budget, budgets: Iterable[Budget], at: datetime) -> list[Spend]:
    """The counters of those who have it, the fullest first; one more than are shown."""
    own = [each.subject for each in budgets if (each.scope, each.period) == (budget.scope, budget.period)]
    used = F(f"{budget.period}_usd") + F(f"{budget.period}_reserved_usd")
    now = {"scope": budget.scope, budget.period: period_start(budget.period, at)}
    spends = Spend.objects.filter(**now).exclude(subject__in=own).annotate(used=used).filter(used__gt=0)
    return list(spends.order_by("-used", "subject")[: MOST_SUBJECTS + 1])


def gauge(budget: Budget, spend: Spend | None, subject: Subject, at: datetime) -> Gauge:
    """A counter of an earlier day or month says nothing about this one."""
    start = period_start(budget.period, at)
    is_now = spend is not None and getattr(spend, budget.period) == start
    spent, reserved = (
        getattr(spend, f"{budget.period}_{kind}") if is_now else Decimal(0) for kind in ("usd", "reserved_usd")
    )
    return Gauge(subject, spent, reserved, budget, period_end(budget.period, start))


def subjects(keys: Iterable[Key]) -> dict[Key, Subject]:
    """Names for subjects; an empty one stands for each of its scope."""
    by_scope: dict[str, list[str]] = {}
    for scope, subject in keys:
        by_scope.setdefault(scope, []).append(subject)
    named = {(scope, ""): Subject(EACH[Scope(scope)]) for scope in by_scope}
    named |= {(Scope.FEATURE, name): Subject(name) for name in by_scope.get(Scope.FEATURE, []) if name}
    named |= people([UUID(each) for each in by_scope.get(Scope.USER, []) if each])
    return named | api_keys([UUID(each) for each in by_scope.get(Scope.API_KEY, []) if each])


def people(ids: list[UUID]) -> dict[Key, Subject]:
    members = set(Membership.objects.filter(user_id__in=ids).values_list("user_id", flat=True))
    emails: dict[UUID, str] = dict(User.objects.filter(pk__in=ids).values_list("pk", "email"))
    return {
        (Scope.USER, str(pk)): Subject(
            emails.get(pk, "Somebody whose account is deleted"), "" if pk in members else "no longer a member"
        )
        for pk in ids
    }


def api_keys(ids: list[UUID]) -> dict[Key, Subject]:
    found: dict[UUID, Any] = ApiKey.objects.in_bulk(ids)
    return {(Scope.API_KEY, str(pk)): api_key(found.get(pk)) for pk in ids}


def api_key(key: ApiKey | None) -> Subject:
    if key is None:
        return Subject("An API key", "deleted")
    return Subject(f"{key.name} …{key.last_four}", "" if key.is_open else "revoked" if key.revoked_at else "expired")


@dataclass(frozen=True, slots=True)
class Tokens:
    """What everybody has used today, calls under way included. `limit` is the plan's, None for none."""

    used: int
    limit: int | None
    resets_at: datetime


def tokens_today(tenant: Tenant) -> Tokens:
    today = period_start(Budget.Period.DAY, timezone.now())
    spend = Spend.objects.filter(scope=Scope.WORKSPACE, day=today).first()
    used = spend.day_tokens + spend.day_reserved_tokens if spend else 0
    return Tokens(used, tenant.tokens_per_day, period_end(Budget.Period.DAY, today))


def about(usd: Decimal) -> str:
    """To the cent from ten cents up; smaller amounts as exact as they are kept."""
    return dollars(usd.quantize(Decimal("0.01"), ROUND_DOWN) if usd >= Decimal("0.10") else usd)
