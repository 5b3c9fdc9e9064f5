"""Setting budgets of the active workspace, each with a line in its log."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F

from apps.tenants.audit import record
from apps.tenants.context import require_tenant_id

from . import ledger
from .gauges import subjects
from .models import Budget, Spend
from .models.budget import Scope
from .refusals import dollars


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """A transaction in the ledger's turn: no call of this workspace is reserved or settled beside it."""
    with transaction.atomic():
        ledger.call("runs_take_turn(%s)", [require_tenant_id()])
        yield


class Refused(ValueError):
    """A sentence for the person who asked: what is wrong, and what to do."""


def add(*, scope: str, subject: str, period: str, **values: Any) -> Budget:
    """Raises Refused where there is one for that scope, subject and period already."""
    try:
        with transaction.atomic():
            budget = Budget.objects.create(scope=scope, subject=subject, period=period, **values)
            note("budget.added", budget, limit=limit(budget))
    except IntegrityError:
        raise Refused("There is such a budget already. Change that one, or choose another period.") from None
    return budget


def change(budget: Budget, **values: Any) -> Budget:
    """Write the values that differ. Whoever was told of a threshold that isn't reached any more will be told anew."""
    with one_at_a_time():
        current: Budget = Budget.objects.get(pk=budget.pk)
        changes = {}
        for name, value in values.items():
            if (before := getattr(current, name)) != value:
                setattr(current, name, value)
                label = str(Budget._meta.get_field(name).verbose_name)  # type: ignore[union-attr]
                changes[label] = {"before": plain(before), "after": plain(value)}
        if changes:
            current.save(update_fields=list(values))
            current.alerts.filter(spent_usd__lt=F("percent") * current.cap_usd / 100).delete()
            note("budget.changed", current, **changes)
    return current


def remove(budget: Budget) -> None:
    with one_at_a_time():
        note("budget.removed", budget, limit=limit(budget))
        budget.delete()


def note(deed: str, budget: Budget, **details: Any) -> None:
    record(deed, budget, who=who(budget), **details)


def who(budget: Budget) -> str:
    return str(subjects([(budget.scope, budget.subject)])[budget.scope, budget.subject])


def limit(budget: Budget) -> str:
    """ "$10 a month"."""
    return f"{dollars(budget.cap_usd)} {budget.get_period_display().lower()}"


def plain(value: Any) -> Any:
    return dollars(value) if isinstance(value, Decimal) else value


def features() -> list[str]:
    """What calls are made for, by name: what can be switched off, and what has been counted or has a budget."""
    counted = Spend.objects.filter(scope=Scope.FEATURE).values_list("subject", flat=True)
    budgeted = Budget.objects.filter(scope=Scope.FEATURE).exclude(subject="").values_list("subject", flat=True)
    return sorted({"chat", "api", *counted, *budgeted})
