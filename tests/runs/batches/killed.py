"""Workers that are killed: processes of their own that take a batch's slices, as Celery's would.

They fork from one that has imported Django already. Nothing of pytest is imported: the benchmark uses it too.
"""

import multiprocessing
import random
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connections
from django.utils import timezone

from apps.runs.batches.work import work
from apps.runs.lost import close_lost
from apps.runs.models import Batch, BatchResult, BatchRow, Run, Spend
from apps.tenants.context import require_tenant_id, tenant_id_context
from tests.gateway.stub import Refuse, Step
from tests.runs.crowd import differences

from .rows import MODEL, RowStub, says

WITHIN_S = 60

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.runs.crowd", __name__])  # the first of them sets Django up


def slices(pipe: Any, tenant_id: UUID, batch_id: UUID, base_url: str) -> None:
    settings.OPENAI_API_KEY, settings.OPENAI_BASE_URL, settings.OPENAI_MODEL = "sk-none", base_url, MODEL
    with tenant_id_context(tenant_id):
        while Batch.objects.filter(pk=batch_id, status=Batch.Status.RUNNING).exists():
            work(batch_id)
    pipe.send("ended")
    connections.close_all()


class Worker:
    def __init__(self, batch: Batch, stub: RowStub) -> None:
        self.pipe, end = _context.Pipe()
        arguments = (end, require_tenant_id(), batch.pk, stub.base_url("openai"))
        self.process = _context.Process(target=slices, args=arguments, daemon=True)
        self.process.start()
        end.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.join(WITHIN_S)

    def until_it_ends(self) -> None:
        if not self.pipe.poll(WITHIN_S):
            raise AssertionError("The batch did not come to its end.")
        self.process.join(WITHIN_S)


def as_after_a_minute() -> None:
    """What a killed worker held is free again, and its calls are closed, as both would be in time."""
    ago = timezone.now() - timedelta(seconds=1)
    Batch.objects.filter(worker__isnull=False).update(worked_until=ago)
    BatchRow.objects.filter(status=BatchRow.Status.RUNNING).update(claimed_until=ago)
    close_lost(timedelta(0))


def stumbling(chance: random.Random, share: float, *, twice: bool = True) -> Any:
    """Answers of which that share is a fault instead, of the kinds that the gateway tries again.

    twice: whether the same may fail twice running, so that its row waits for a moment.
    """

    def answering(words: str, nth: int) -> tuple[Step, ...]:
        if chance.random() < share and (twice or nth % 2):
            return (Refuse(chance.choice((500, 502, 503, 529)), "server_error"),)
        return says(f"re: {words}")

    return answering


def faults(batch: Batch) -> list[str]:
    """What isn't as it must be after a batch has ended: empty if every row was answered once and the money is right."""
    found = []
    counts = Counter(BatchResult.objects.filter(row__batch=batch).values_list("row_id", "step_id"))
    steps = batch.steps.count()
    if len(counts) != batch.row_count * steps or set(counts.values()) != {1}:
        found.append(f"{len(counts)} results of {batch.row_count} rows with {steps} steps")
    if wrong := batch.rows.exclude(status=BatchRow.Status.DONE).count():
        found.append(f"{wrong} rows aren't done")
    for result in BatchResult.objects.filter(row__batch=batch).select_related("row", "run"):
        if result.text != f"re: Say {result.row.input['name']}." or result.run is None or result.run.status != "ok":
            found.append(f"row {result.row.number} says {result.text!r}")
    if left := Run.objects.filter(status=Run.Status.RUNNING).count():
        found.append(f"{left} calls are open")
    if not Spend.objects.filter(scope="workspace", month_usd__gt=0).exists():
        found.append("nothing was spent")
    return found + differences()
