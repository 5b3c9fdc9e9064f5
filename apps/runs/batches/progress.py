"""How far a batch is."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Count, Q, Sum
from django.utils import timezone

from ..models import Batch, BatchRow, Run

RATED_OVER = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Progress:
    """Rows by status; money of all its calls, those under way at what they reserved. `rows_per_minute` is of the last
    minute; `eta` is None where nothing moves."""

    total: int
    waiting: int
    running: int
    done: int
    failed: int
    skipped: int
    cancelled: int
    spent_usd: Decimal
    reserved_usd: Decimal
    rows_per_minute: float
    eta: datetime | None

    @property
    def ended(self) -> int:
        return self.done + self.failed + self.skipped + self.cancelled

    @property
    def left(self) -> int:
        return self.waiting + self.running

    @property
    def percent(self) -> int:
        """0 to 100; 100 only when nothing is left."""
        return 100 if not self.total else self.ended * 100 // self.total


def progress(batch: Batch) -> Progress:
    """By two queries."""
    now = timezone.now()
    since = max(now - RATED_OVER, batch.resumed_at or now - RATED_OVER)
    ended_of_late = Q(finished_at__gte=since) & ~Q(status=BatchRow.Status.CANCELLED)
    rows = BatchRow.objects.filter(batch=batch).aggregate(
        **{status.value: Count("id", filter=Q(status=status)) for status in BatchRow.Status},
        of_late=Count("id", filter=ended_of_late),
    )
    runs = Run.objects.filter(batch=batch).aggregate(
        spent=Sum("cost_usd"), reserved=Sum("reserved_usd", filter=Q(status=Run.Status.RUNNING))
    )
    rate = rows.pop("of_late") * 60 / max((now - since).total_seconds(), 1.0)
    left = rows["waiting"] + rows["running"]
    is_moving = batch.status == Batch.Status.RUNNING and rate and left
    return Progress(
        total=sum(rows.values()),
        **rows,
        spent_usd=runs["spent"] or Decimal(0),
        reserved_usd=runs["reserved"] or Decimal(0),
        rows_per_minute=rate if batch.status == Batch.Status.RUNNING else 0.0,
        eta=now + timedelta(minutes=left / rate) if is_moving else None,
    )
