"""Runs that are begun and closed in the ledger itself, without a provider."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection

from apps.runs import configuration, ledger
from apps.runs.models import Budget, Run, Spend
from apps.runs.models.budget import Scope
from config.celery import HEADER
from tests.conftest import admin
from tests.waiting import messages

FAR = datetime(2040, 1, 30, 22, tzinfo=UTC)  # later than any counter that the real clock has begun
OPEN = {"provider": "stub", "model": "m", "tier": "standard", "feature": "chat"}


def usd(amount: str | int | Decimal) -> Decimal:
    return Decimal(amount).quantize(Decimal("0.000001"))


def begin(reserve: Any = "1", *, tokens: int = 100, cheap: dict[str, Any] | None = None, **fields: Any) -> Run:
    """A run that has begun, or was refused with `run.error`; its alerts are `run.alerts`."""
    run = Run(**{**OPEN, **fields}, reserved_usd=usd(reserve), reserved_tokens=tokens)
    run.alerts = ledger.begin(run, revision=configuration.fresh().revision, cheap=cheap).alerts
    return run


def finish(run: Run, cost: Any = "1", *, tokens: int = 10, status: str = Run.Status.OK) -> tuple[Any, ...]:
    """Close it; returns the ids of new alerts."""
    run.status, run.cost_usd, run.input_tokens, run.output_tokens = status, usd(cost), tokens, 0
    return ledger.close(run)


def spend(cost: Any, **fields: Any) -> tuple[Any, ...]:
    """A whole call of that cost; returns the ids of its alerts."""
    run = begin(cost, **fields)
    assert run.error is None, run.error
    return (*run.alerts, *finish(run, cost))


def budget(cap: Any, scope: str = Scope.WORKSPACE, subject: object = "", **fields: Any) -> Budget:
    return Budget.objects.create(scope=scope, subject=str(subject), cap_usd=usd(cap), **fields)


def counter(scope: str = Scope.WORKSPACE, subject: object = "") -> Spend:
    return Spend.objects.get(scope=scope, subject=str(subject))


SET = "nullif(current_setting('corbel_test.now', true), '')::timestamptz"


class Clock:
    """The time by which the ledger begins runs, on this connection."""

    def __init__(self, now: datetime) -> None:
        self.set(now)

    def set(self, now: datetime) -> None:
        self.now = now
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('corbel_test.now', %s, false)", [now.isoformat()])

    def forward(self, **by: float) -> None:
        self.set(self.now + timedelta(**by))


@contextmanager
def stopped_clock(now: datetime = FAR) -> Iterator[Clock]:
    """The database's own clock can't be set; the function that reads it is another one meanwhile.

    That one reads the database's clock where no other is set, should a killed test leave it behind.
    """
    with admin() as connection_of_admin:
        execute = connection_of_admin.execute
        (true,) = execute("SELECT pg_get_functiondef('runs_take_turn(uuid)'::regprocedure)").fetchone()
        read, set_or_read = "RETURN clock_timestamp();", f"RETURN coalesce({SET}, clock_timestamp());"
        true = true.replace(set_or_read, read)
        assert read in true
        execute(true.replace(read, set_or_read))
        try:
            yield Clock(now)
        finally:
            execute(true)


def queued() -> list[tuple[str, str]]:
    """The tasks that wait in the queue, each with its tenant's id."""
    headers = [each["headers"] for each in messages()]
    return [(header["task"].rpartition(".")[2], header[HEADER]) for header in headers]
