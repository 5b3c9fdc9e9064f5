"""Processes that spend from the same budgets at once, each through the ledger as the application does.

They fork from one that has imported Django already. Nothing of the tests' own is imported: the benchmark uses it too.
"""

import multiprocessing
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

import django
from django.apps import apps
from django.db import connections

if not apps.ready and "pytest" not in sys.modules:
    django.setup()  # once, in the process that the others fork from

from django.db.models import Sum

from apps.runs import configuration, ledger
from apps.runs.models import Budget, Run, Spend
from apps.runs.models.budget import Scope
from apps.tenants.context import require_tenant_id, tenant_id_context
from apps.tenants.models import User

MICRO = Decimal("0.000001")
MOST = 100_000  # micro-dollars that one call reserves at most
AT_ONCE = 4  # calls that one process has open
FEATURES = ("chat", "search", "summary")

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__])


@dataclass
class Outcome:
    """What came of all calls together. `over` holds the moments at which a budget was seen to be exceeded."""

    counts: Counter[str]
    seconds: float
    over: list[str] = field(default_factory=list)
    looks: int = 0


def spend_at_once(calls: int, processes: int, users: list[User]) -> Outcome:
    """`calls` calls of the active tenant over so many processes; budgets are watched meanwhile."""
    arguments = (require_tenant_id(), [user.pk for user in users], calls // processes)
    workers = []
    for seed in range(processes):
        ours, theirs = _context.Pipe()
        worker = _context.Process(target=work, args=(theirs, seed, *arguments), daemon=True)
        worker.start()
        theirs.close()
        workers.append((worker, ours))
    for _, pipe in workers:
        pipe.recv()  # it is ready
    began = time.perf_counter()
    for _, pipe in workers:
        pipe.send("go")
    outcome = Outcome(Counter(), 0)
    waiting = [pipe for _, pipe in workers]
    while waiting:
        outcome.over += exceeded()
        outcome.looks += 1
        for pipe in multiprocessing.connection.wait(waiting, timeout=0.02):
            counts = pipe.recv()
            if isinstance(counts, str):
                raise AssertionError(counts)
            outcome.counts += counts
            waiting.remove(pipe)
    outcome.seconds = time.perf_counter() - began
    for worker, _ in workers:
        worker.join()
    return outcome


def work(pipe: Any, seed: int, tenant_id: UUID, user_ids: list[UUID], calls: int) -> None:
    chance, counts, open_runs = random.Random(seed), Counter(), []
    try:
        with tenant_id_context(tenant_id):
            known = configuration.fresh()
            pipe.send("ready")
            pipe.recv()
            for _ in range(calls):
                run = Run(
                    user_id=chance.choice(user_ids),
                    feature=chance.choice(FEATURES),
                    provider="stub",
                    model="m",
                    reserved_usd=chance.randint(1, MOST) * MICRO,
                    reserved_tokens=100,
                )
                ledger.begin(run, revision=known.revision)
                counts[run.error_code or "let in"] += 1
                if not run.error:
                    open_runs.append(run)
                if open_runs and (run.error or len(open_runs) == AT_ONCE):
                    settle(open_runs.pop(chance.randrange(len(open_runs))), chance)
            for run in open_runs:
                settle(run, chance)
    except Exception as error:
        pipe.send(f"process {seed}: {error!r}")
    else:
        pipe.send(counts)
    connections.close_all()


def settle(run: Run, chance: random.Random) -> None:
    """Most calls cost less than they reserved; some are settled twice, some are given up before they end."""
    run.status, run.input_tokens = Run.Status.OK, 10
    run.cost_usd = (run.reserved_usd * chance.randint(0, 100) / 100).quantize(MICRO)
    if chance.random() < 0.02:
        ledger.close_lost(run.tenant_id, run.pk)
    ledger.close(run)
    if chance.random() < 0.02:
        ledger.close(run)


def exceeded() -> Iterator[str]:
    """Hard budgets of the active tenant beyond which more is spent and reserved than their cap, at this moment."""
    spends = list(Spend.objects.all())
    for budget in Budget.objects.filter(is_hard=True):
        for spend in spends:
            taken = spend.month_usd + spend.month_reserved_usd
            if spend.scope == budget.scope and budget.subject in ("", spend.subject) and taken > budget.cap_usd:
                yield f"{budget.scope} {spend.subject}: {taken} of {budget.cap_usd}"


def differences() -> list[str]:
    """Where a counter isn't the sum of the rows, to the micro-dollar, or still holds a reservation."""
    found = []
    names = {Scope.WORKSPACE: None, Scope.USER: "user_id", Scope.FEATURE: "feature", Scope.API_KEY: "api_key_id"}
    for spend in Spend.objects.all():
        name = names[Scope(spend.scope)]
        runs = Run.objects.filter(**{name: spend.subject} if name else {})
        rows = runs.aggregate(cost=Sum("cost_usd"))["cost"] or Decimal(0)
        if not (spend.month_usd == spend.day_usd == rows) or spend.month_reserved_usd or spend.day_reserved_usd:
            found.append(f"{spend.scope} {spend.subject}: {spend.month_usd} + {spend.month_reserved_usd}, rows {rows}")
    return found
