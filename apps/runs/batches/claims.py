"""Who works at what: one worker at a batch, and rows that it holds for as long as it says so.

A worker that is killed says nothing more, and what it held can be claimed again. What one said that was only slow is
kept if nobody else has said it: a step of a row has one result.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from decimal import Decimal
from math import ceil
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import F, Min, Q, Sum
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from ..explain import Fault
from ..models import Batch, BatchResult, BatchRow, BatchStep, Run
from .costs import steps_of
from .errors import Refused

LEASE = timedelta(seconds=60)
AT_ONCE = 16  # rows of a batch, under way
QUEUED_FOR = timedelta(minutes=10)  # after which a batch that nobody has taken is queued again
MOST_ATTEMPTS = 8  # claims of one row: whatever kills its worker so often would go on to do so
RUNNING, WAITING = BatchRow.Status.RUNNING, BatchRow.Status.WAITING

# A row as if it had never been claimed.
ANEW: dict[str, Any] = {
    "status": WAITING,
    "error_code": "",
    "error_message": "",
    "attempts": 0,
    "claimed_until": None,
    "finished_at": None,
}


class Superseded(Exception):
    """Somebody else has claimed the row meanwhile."""


class CapReached(Exception):
    """The next row could take the batch beyond what it may cost."""


def take(batch_id: UUID, worker: UUID) -> Batch | None:
    """The active tenant's batch, for this worker alone; None if it doesn't run, or another one works at it."""
    free = Q(worker=None) | Q(worked_until__lt=Now())
    running = Batch.objects.filter(pk=batch_id, status=Batch.Status.RUNNING)
    if not running.filter(free).update(worker=worker, worked_until=Now() + LEASE):
        return None
    batch: Batch = Batch.objects.select_related("created_by").get(pk=batch_id)
    return batch


def leave(batch: Batch, worker: UUID) -> None:
    """Nobody works at it any more."""
    Batch.objects.filter(pk=batch.pk, worker=worker).update(worker=None)


def renew(batch: Batch, worker: UUID, held: Collection[UUID]) -> bool:
    """Say that the worker lives. Returns whether more rows may begin: not of a batch that was paused or taken over."""
    BatchRow.objects.filter(pk__in=held, status=RUNNING).update(claimed_until=Now() + LEASE)
    mine = Batch.objects.filter(pk=batch.pk, worker=worker)
    return bool(mine.filter(status=Batch.Status.RUNNING).update(worked_until=Now() + LEASE))


def claim(batch: Batch, worker: UUID, *, most: int, held: Collection[UUID]) -> list[BatchRow]:
    """Up to `most` rows for this worker, the first ones first, with what was said of them already in `row.said`.

    Raises CapReached if none of those that wait may begin, though nothing is held whose end could make room.
    """
    with transaction.atomic():
        if not renew(batch, worker, held):
            return []
        claimable = Q(status=WAITING) & (Q(claimed_until=None) | Q(claimed_until__lt=Now()))
        lapsed = Q(status=RUNNING, claimed_until__lt=Now()) & ~Q(pk__in=held)
        rows = BatchRow.objects.filter(claimable | lapsed, batch=batch, attempts__lt=MOST_ATTEMPTS).order_by("number")
        found = within_cap(batch, list(rows.select_for_update(skip_locked=True)[:most]), held)
        mark(found, worker)
    return found


def mark(rows: Sequence[BatchRow], worker: UUID) -> None:
    """The rows are claimed: in the database, and as instances."""
    claimed = BatchRow.objects.filter(pk__in=[row.pk for row in rows])
    claimed.update(status=RUNNING, attempts=F("attempts") + 1, claimed_until=Now() + LEASE, worker=worker)
    said: dict[UUID, list[BatchResult]] = {}
    for result in BatchResult.objects.filter(row__in=rows).exclude(status=BatchResult.Status.FAILED):
        said.setdefault(result.row_id, []).append(result)  # type: ignore[attr-defined]
    for row in rows:
        row.status, row.attempts, row.worker = RUNNING, row.attempts + 1, worker
        row.said = said.get(row.pk, [])


def within_cap(batch: Batch, rows: list[BatchRow], held: Collection[UUID]) -> list[BatchRow]:
    """Those of the first rows that what is left of the batch's cap covers."""
    if batch.cap_usd is None or not rows:
        return rows
    held_usd = BatchRow.objects.filter(pk__in=held).aggregate(usd=Sum("worst_usd"))["usd"] or Decimal(0)
    left = batch.cap_usd - spent_usd(batch) - held_usd
    covered = []
    for row in rows:
        left -= row.worst_usd
        if left < 0:
            break
        covered.append(row)
    if not covered and not held:
        raise CapReached
    return covered


def spent_usd(batch: Batch) -> Decimal:
    """What all its calls have cost, those under way at what they reserved."""
    runs = Run.objects.filter(batch=batch)
    usd = runs.aggregate(usd=Sum(Coalesce("cost_usd", "reserved_usd")))["usd"]
    return Decimal(usd or 0)


def take_first(batch_id: UUID, count: int) -> tuple[Batch, list[BatchStep], list[BatchRow]]:
    """Claim the first rows of a draft that have no answer yet. Raises Refused for a batch that is no draft."""
    with transaction.atomic():
        draft = Batch.objects.select_for_update().filter(pk=batch_id, status=Batch.Status.DRAFT).first()
        if draft is None:
            raise Refused("This batch has been started already. See its results.")
        first = BatchRow.objects.filter(batch=draft, number__lte=count).exclude(status=BatchRow.Status.DONE)
        open_again(first.filter(status=BatchRow.Status.FAILED))
        lapsed = Q(status=WAITING) | Q(status=RUNNING, claimed_until__lt=Now())
        rows = list(first.filter(lapsed).order_by("number").select_for_update(skip_locked=True))
        mark(rows, uuid4())
    batch: Batch = Batch.objects.select_related("created_by").get(pk=batch_id)
    return batch, steps_of(batch), rows


def open_again(rows: Any) -> int:
    """Have failed rows wait again, without what made them fail; returns how many. In a transaction."""
    ids = list(rows.values_list("pk", flat=True))
    BatchResult.objects.filter(row__in=ids, status=BatchResult.Status.FAILED).delete()
    return int(BatchRow.objects.filter(pk__in=ids).update(**ANEW))


def give_up(batch: Batch) -> int:
    """Fail rows whose worker died again and again; returns how many."""
    lapsed = Q(status=WAITING) | Q(status=RUNNING, claimed_until__lt=Now())
    rows = BatchRow.objects.filter(lapsed, batch=batch, attempts__gte=MOST_ATTEMPTS)
    return rows.update(
        status=BatchRow.Status.FAILED,
        error_code="lost",
        error_message=f"It was begun {MOST_ATTEMPTS} times and never ended. Try it again, or shorten what is in it.",
        finished_at=Now(),
        claimed_until=None,
    )


def failing(batch: Batch, row: BatchRow, number: int) -> Fault | None:
    """Why the batch should pause, if the row has failed and so have that many before it, all of the same."""
    if not BatchRow.objects.filter(pk=row.pk, status=BatchRow.Status.FAILED).exists():
        return None
    since = Batch.objects.filter(pk=batch.pk).values("resumed_at")
    ended = BatchRow.objects.filter(batch=batch, finished_at__gte=since).order_by("-finished_at")
    last = list(ended.values_list("status", "error_code", "error_message")[:number])
    if len(last) < number or {(status, code) for status, code, _ in last} != {(BatchRow.Status.FAILED, last[0][1])}:
        return None
    return Fault(
        last[0][1], f"{number} rows in a row failed for the same reason: {last[0][2]}", "Mend that, then retry them."
    )


def waits_s(batch: Batch) -> int:
    """Seconds until the first of the open rows may be claimed, 0 if one may be now."""
    soonest = BatchRow.objects.filter(batch=batch, status__in=BatchRow.OPEN).aggregate(
        at=Min(Coalesce("claimed_until", Now()))
    )
    at = soonest["at"]
    return 0 if at is None else max(0, ceil((at - timezone.now()).total_seconds()))
