"""Starting, pausing, resuming and cancelling a batch, and trying its failed rows again. Each is in the audit log.

A batch also pauses by itself: a budget is spent, what was agreed to is, or rows fail one after the other. Where it is
known when that ends, it goes on by itself then.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now
from kombu.exceptions import OperationalError as BrokerError

from apps.tenants import flags
from apps.tenants.audit import record

from ..explain import Fault
from ..models import Batch, BatchRow
from ..refusals import Refusal, dollars
from . import claims
from .costs import FEATURE, estimate
from .errors import Refused

log = logging.getLogger(__name__)

MESSAGE_CHARS = 400
CAP_REACHED = Fault(
    "cap_reached",
    "The batch has cost nearly what was agreed to, and its next row could go beyond that.",
    "Resume it to agree to what the rest could cost.",
)
DRAFT, PAUSED, RUNNING, DONE, CANCELLED = (
    Batch.Status.DRAFT,
    Batch.Status.PAUSED,
    Batch.Status.RUNNING,
    Batch.Status.DONE,
    Batch.Status.CANCELLED,
)
GOING: dict[str, Any] = {
    "status": RUNNING,
    "resumed_at": Now(),
    "pause_code": "",
    "pause_message": "",
    "resumes_at": None,
}


def start(batch: Batch, *, cap_usd: Decimal | None = None) -> None:
    """Begin a draft.

    cap_usd: what it may cost at most. None is its worst case, with what its preview has cost and what a killed worker's
    rows cost that are asked a second time.

    Raises Refused, or the Refusal where no model may be asked or none has a price.
    """
    require_on()
    with locked(batch, DRAFT, but="It has been started already."):
        if not batch.steps.exists():
            raise Refused("This batch has no prompt yet. Choose one first.")
        claims.open_again(BatchRow.objects.filter(batch=batch, status=BatchRow.Status.FAILED))  # of its preview
        worst = estimate(batch).worst_usd + claims.spent_usd(batch)
        cap_usd = worst + twice_asked_usd(batch) if cap_usd is None else cap_usd
        Batch.objects.filter(pk=batch.pk).update(**GOING, started_at=Now(), worst_usd=worst, cap_usd=cap_usd)
        record("batch.started", batch, rows=batch.row_count, most=dollars(cap_usd))
    begin(batch)


def pause(batch: Batch) -> None:
    """Rows under way end; no others begin. Raises Refused."""
    with locked(batch, RUNNING, but="Only a batch that runs can be paused."):
        Batch.objects.filter(pk=batch.pk).update(status=PAUSED, pause_code="", pause_message="", resumes_at=None)
        record("batch.paused", batch, reason="by hand")
    batch.refresh_from_db()


def pause_by_itself(batch: Batch, why: Refusal | Fault) -> bool:
    """Pause a batch that runs, and say why; returns whether it ran until now."""
    with transaction.atomic():
        paused = Batch.objects.filter(pk=batch.pk, status=RUNNING).update(
            status=PAUSED,
            pause_code=why.code[:40],
            pause_message=f"{why.message} {why.action}"[:MESSAGE_CHARS],
            resumes_at=why.resets_at,
        )
        if paused:
            record("batch.paused", batch, reason=why.message)
    return bool(paused)


def resume(batch: Batch, *, by_itself: bool = False) -> None:
    """Go on with a paused batch. Whoever resumes one that has reached its cap agrees to what the rest could cost.

    Raises Refused.
    """
    require_on()
    with locked(batch, PAUSED, but="Only a batch that is paused can be resumed."):
        agreed = {}
        if batch.cap_usd is not None and not by_itself:
            agreed["cap_usd"] = max(batch.cap_usd, rest_usd(batch))
        Batch.objects.filter(pk=batch.pk).update(**GOING, **agreed)
        record("batch.resumed", batch, reason="the reason for its pause is over" if by_itself else "by hand")
    begin(batch)


def cancel(batch: Batch) -> None:
    """Rows under way end; those that wait are never asked. What is done stays. Raises Refused."""
    with locked(batch, DRAFT, RUNNING, PAUSED, but="It is over already."):
        Batch.objects.filter(pk=batch.pk).update(status=CANCELLED, finished_at=Now(), resumes_at=None)
        waiting = BatchRow.objects.filter(batch=batch, status=BatchRow.Status.WAITING)
        left = waiting.update(status=BatchRow.Status.CANCELLED, finished_at=Now(), claimed_until=None)
        record("batch.cancelled", batch, rows=left)
    batch.refresh_from_db()


def retry_failed(batch: Batch) -> int:
    """Have the failed rows tried again, from the step that failed; returns how many. Raises Refused."""
    require_on()
    with locked(batch, RUNNING, PAUSED, DONE, but="Its rows can’t be tried again."):
        again = claims.open_again(BatchRow.objects.filter(batch=batch, status=BatchRow.Status.FAILED))
        if not again:
            raise Refused("No row of this batch has failed.")
        agreed = {} if batch.cap_usd is None else {"cap_usd": max(batch.cap_usd, rest_usd(batch))}
        Batch.objects.filter(pk=batch.pk).update(**GOING, **agreed, finished_at=None)
        record("batch.retried", batch, rows=again)
    begin(batch)
    return again


def rest_usd(batch: Batch) -> Decimal:
    """What it has cost, and what the rest could cost at most."""
    return claims.spent_usd(batch) + estimate(batch).worst_usd + twice_asked_usd(batch)


def twice_asked_usd(batch: Batch) -> Decimal:
    """What the rows can cost at most that one worker has under way."""
    dearest = batch.rows.order_by("-worst_usd").values_list("worst_usd", flat=True)[: claims.AT_ONCE]
    return sum(dearest, Decimal(0))


def finish(batch: Batch) -> bool:
    """Say that it is done if nothing is left. Returns whether nothing more is to be queued."""
    is_left = Exists(BatchRow.objects.filter(batch=OuterRef("pk"), status__in=BatchRow.OPEN))
    running = Batch.objects.filter(pk=batch.pk, status=RUNNING)
    running.filter(~is_left).update(status=DONE, finished_at=Now())
    return not running.exists()


def require_on() -> None:
    """Raises Refused where batches are switched off."""
    if off := flags.off_now().get(FEATURE):
        raise Refused(f"{off.label}. {off.when_off}")


@contextmanager
def locked(batch: Batch, *statuses: Batch.Status, but: str) -> Iterator[None]:
    """A transaction in which the batch, as it is now, has one of the statuses. Raises Refused."""
    with transaction.atomic():
        Batch.objects.select_for_update(no_key=True).filter(pk=batch.pk).first()
        batch.refresh_from_db()
        if batch.status not in statuses:
            raise Refused(f"This batch is {batch.get_status_display().lower()}. {but}")
        yield


def begin(batch: Batch) -> None:
    """Queue a slice once what was written is there for the worker to see."""
    batch.refresh_from_db()
    transaction.on_commit(partial(queue, batch))


def queue(batch: Batch, *, after_s: int = 0) -> None:
    """Hand the batch to the workers, in a while if `after_s`; a worker that is at it still does so itself when its turn
    ends. What the queue forgets, `unfinished` queues again."""
    from ..tasks import work_batch

    left = Batch.objects.filter(Q(worker=None) | Q(worked_until__lt=Now()), pk=batch.pk)
    if not left.update(worker=None, worked_until=Now() + claims.QUEUED_FOR):
        return
    try:
        work_batch.apply_async((str(batch.pk),), countdown=after_s or None)
    except BrokerError:
        log.exception("batch %s could not be queued", batch.pk)
        Batch.objects.filter(pk=batch.pk, worker=None).update(worked_until=None)
