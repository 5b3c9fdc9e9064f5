"""Results as CSV or JSON Lines, a piece at a time, in memory that doesn't grow with the rows."""

from collections.abc import Iterator

from ..models import Batch


def columns_of(batch: Batch) -> list[str]:
    """The columns of the CSV: those of the file, the row's own, and for each step its answer, its fields and its run."""
    raise NotImplementedError


def as_csv(batch: Batch) -> Iterator[str]:
    """UTF-8 with a byte-order mark, as spreadsheets want it. Cells that one would run as a formula begin with '."""
    raise NotImplementedError


def as_json_lines(batch: Batch) -> Iterator[str]:
    """One object per row: number, status, input, and per step its answer, value and run id."""
    raise NotImplementedError
