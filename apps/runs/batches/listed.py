"""Batches and their results as pages list them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Count, Min, Sum
from django.db.models.functions import Coalesce

from ..models import Batch, BatchResult, BatchRow, BatchStep, Run
from .mapping import fields_of

MOST_SHOWN = 3  # of a row's columns, in the table
MOST_REASONS = 5
Status = BatchRow.Status


@dataclass(frozen=True, slots=True)
class Listed:
    """A batch with its rows by status, and what its calls have cost, those under way at what they reserved."""

    batch: Batch
    counts: Counter[str]
    spent_usd: Decimal

    @property
    def ended(self) -> int:
        return sum(count for status, count in self.counts.items() if status not in BatchRow.OPEN)


def listed(batches: Sequence[Batch]) -> list[Listed]:
    """By two queries for all."""
    ids = [batch.pk for batch in batches]
    counts: dict[UUID, Counter[str]] = {pk: Counter() for pk in ids}
    grouped = BatchRow.objects.filter(batch__in=ids).values_list("batch", "status").annotate(Count("id"))
    for batch_id, status, count in grouped:
        counts[batch_id][status] = count
    spent = dict(
        Run.objects.filter(batch__in=ids).values_list("batch").annotate(usd=Sum(Coalesce("cost_usd", "reserved_usd")))
    )
    return [Listed(batch, counts[batch.pk], spent.get(batch.pk) or Decimal(0)) for batch in batches]


@dataclass(frozen=True, slots=True)
class Cell:
    """What one step said for one row: `fields` of a structured answer, else its text. Without a result nothing yet;
    `is_asked` says that somebody waits for it now."""

    step: BatchStep
    result: BatchResult | None
    is_asked: bool = False

    @property
    def fields(self) -> list[tuple[str, Any]]:
        value = self.result.value if self.result else None
        return (
            [(name, value.get(name)) for name in fields_of(self.step.prompt_version)] if isinstance(value, dict) else []
        )


@dataclass(frozen=True, slots=True)
class Line:
    """A row with the columns that are shown of it, and a cell for each step."""

    row: BatchRow
    shown: list[tuple[str, str]]
    cells: list[Cell]


def lines(rows: Iterable[BatchRow], batch: Batch, steps: Sequence[BatchStep]) -> list[Line]:
    """`rows` come with their `results`."""
    shown = columns_shown(batch, steps)
    found = []
    for row in rows:
        by_step = {result.step_id: result for result in row.results.all()}  # type: ignore[attr-defined]
        is_running = row.status == Status.RUNNING
        asked = next((step for step in steps if step.pk not in by_step), None) if is_running else None
        cells = [Cell(step, by_step.get(step.pk), step == asked) for step in steps]
        found.append(Line(row, [(name, row.input.get(name, "")) for name in shown], cells))
    return found


def columns_shown(batch: Batch, steps: Sequence[BatchStep]) -> list[str]:
    """The columns that steps read, the first of the file's where none does."""
    read = [source["column"] for step in steps for source in step.mapping.values() if "column" in source]
    return (list(dict.fromkeys(read)) or batch.columns)[:MOST_SHOWN]


def reasons(batch: Batch) -> list[dict[str, Any]]:
    """Why rows failed, the most frequent reason first: code, count, and what one of them says."""
    failed = BatchRow.objects.filter(batch=batch, status=Status.FAILED).values("error_code")
    counted = failed.annotate(count=Count("id"), message=Min("error_message"))
    return list(counted.order_by("-count", "error_code")[:MOST_REASONS])
