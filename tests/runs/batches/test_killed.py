"""A worker that is killed in the middle of a batch loses no row and doubles none, and the ledger is right."""

import random
import time
from collections.abc import Callable

import pytest

from apps.runs.batches import control
from apps.runs.models import Batch, BatchRow, Run
from tests.conftest import Cast, admin
from tests.gateway.stub import Stall

from .killed import WITHIN_S, Worker, as_after_a_minute, faults, stumbling
from .rows import RowStub, draft, runs, says, work_off

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "platform"])


def until(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"It never came to it that {what}.")
        time.sleep(0.01)


def is_waiting() -> object:
    query = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%INTO \"runs_batchresult%'"
    with admin() as connection:
        return connection.execute(query).fetchone()


def test_killed_while_models_answer(acme: Cast, stub: RowStub) -> None:
    stub.answering = lambda words, nth: (Stall(),) if nth == 1 and words.endswith("3.") else says(f"re: {words}")
    batch = draft(acme.alice, 6)
    control.start(batch)
    worker = Worker(batch, stub)
    until(lambda: BatchRow.objects.filter(status="done").count() == 5, "the others are done")
    worker.kill()
    assert runs(batch) == {"ok": 5, "running": 1}

    as_after_a_minute()
    work_off(batch)

    assert batch.status == Batch.Status.DONE and faults(batch) == []
    assert runs(batch) == {"ok": 6, "lost": 1}
    lost = Run.objects.get(status="lost")
    assert lost.cost_usd == lost.reserved_usd > 0
    assert stub.asked["Say n3."] == 2


def test_killed_while_an_answer_is_written(acme: Cast, stub: RowStub) -> None:
    """It was paid for and doesn't stand, so it is asked for again; what stands is never asked for again."""
    batch = draft(acme.alice, 1)
    control.start(batch)
    with admin() as holder:
        holder.autocommit = False
        holder.execute("LOCK runs_batchresult IN EXCLUSIVE MODE")
        worker = Worker(batch, stub)
        until(is_waiting, "it waits to write the result")
        worker.kill()
        holder.rollback()
    as_after_a_minute()

    work_off(batch)

    assert batch.status == Batch.Status.DONE and faults(batch) == []
    assert runs(batch) == {"ok": 2}

    BatchRow.objects.update(status="running", claimed_until=None, finished_at=None)  # killed one statement later
    Batch.objects.update(status="running")
    as_after_a_minute()
    work_off(batch)

    assert batch.status == Batch.Status.DONE and faults(batch) == []
    assert stub.asked["Say n1."] == 2


def test_a_worker_is_killed_and_the_provider_stumbles(acme: Cast, stub: RowStub) -> None:
    """The benchmark's story, in small: benchmarks/batch.py has a thousand rows, and two kills."""
    stub.answering = stumbling(random.Random(6), 0.05, twice=False)
    batch = draft(acme.alice, 60)
    control.start(batch)
    worker = Worker(batch, stub)
    until(lambda: BatchRow.objects.filter(status="done").count() >= 20, "a third is done")
    worker.kill()
    as_after_a_minute()

    Worker(batch, stub).until_it_ends()

    batch.refresh_from_db()
    assert batch.status == Batch.Status.DONE and faults(batch) == []
