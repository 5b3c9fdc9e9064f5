"""Starting, pausing, resuming and cancelling a batch, and trying its failed rows again. Each is in the audit log."""

from decimal import Decimal

from ..models import Batch


def start(batch: Batch, *, cap_usd: Decimal | None = None) -> None:
    """Begin a draft. cap_usd: what it may cost at most; None is its worst case. Raises Refused."""
    raise NotImplementedError


def pause(batch: Batch) -> None:
    """Rows under way end; no others begin. Raises Refused."""
    raise NotImplementedError


def resume(batch: Batch) -> None:
    """Go on with a paused batch. Raises Refused."""
    raise NotImplementedError


def cancel(batch: Batch) -> None:
    """Rows under way end; those that wait are never asked. What is done stays. Raises Refused."""
    raise NotImplementedError


def retry_failed(batch: Batch) -> int:
    """Have the failed rows tried again, from the step that failed; returns how many. Raises Refused."""
    raise NotImplementedError
