"""How far a batch is."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from ..models import Batch


@dataclass(frozen=True, slots=True)
class Progress:
    """Rows by status; money of all its calls, those under way at what they reserved. `eta` is None if it can't be said."""

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
    raise NotImplementedError
