"""Results as CSV or JSON Lines, a piece at a time, in memory that doesn't grow with the rows.

Both are read while they are sent, when the request's own context is left already: each piece in the batch's tenant.
"""

import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from apps.tenants.context import tenant_id_context
from apps.tenants.spreadsheet import MARK, harmless, plain_lines
from apps.tenants.threads import in_thread

from ..models import Batch, BatchResult, BatchRow, BatchStep
from .costs import steps_of
from .mapping import as_text, fields_of, said_in

ROWS_AT_ONCE = 500
OWN_COLUMNS = ("row", "status", "error")
NUMBER = re.compile(r"[+-]\d+(\.\d+)?")  # no formula, whatever it begins with


async def as_csv(batch: Batch) -> AsyncIterator[str]:
    """UTF-8 with a byte-order mark, as spreadsheets want it. Cells that one would run as a formula begin with '."""
    with inside(batch):
        steps = await in_thread(steps_of, batch)
    yield MARK + plain_lines([list(map(safe, columns_of(batch, steps)))])
    async for rows in pieces(batch):
        yield plain_lines([list(map(safe, cells_of(row, batch, steps))) for row in rows])


async def as_json_lines(batch: Batch) -> AsyncIterator[str]:
    """One object per row: number, status, input, and per step its answer, value and run id."""
    with inside(batch):
        steps = await in_thread(steps_of, batch)
    async for rows in pieces(batch):
        yield "".join(json.dumps(as_object(row, steps), ensure_ascii=False) + "\n" for row in rows)


def inside(batch: Batch) -> AbstractContextManager[None]:
    assert batch.tenant_id is not None
    return tenant_id_context(batch.tenant_id)


def safe(cell: str) -> str:
    return cell if NUMBER.fullmatch(cell) else harmless(cell)


async def pieces(batch: Batch) -> AsyncIterator[list[BatchRow]]:
    """The rows by number, so many at once, each with its `results`."""
    number = 0
    while True:
        with inside(batch):
            rows = await in_thread(page, batch, number)
        if not rows:
            return
        yield rows
        number = rows[-1].number


def page(batch: Batch, after: int) -> list[BatchRow]:
    rows = BatchRow.objects.filter(batch=batch, number__gt=after).order_by("number")
    return list(rows.prefetch_related("results")[:ROWS_AT_ONCE])


def columns_of(batch: Batch, steps: Sequence[BatchStep]) -> list[str]:
    """The columns of the CSV: the row's own, those of the file, and for each step its answer or fields and its run."""
    return [*OWN_COLUMNS, *batch.columns, *(name for step in steps for name in names_of(step))]


def names_of(step: BatchStep) -> list[str]:
    fields = fields_of(step.prompt_version)
    return [*[f"{step}: {name}" for name in fields or ["answer"]], f"{step}: run"]


def cells_of(row: BatchRow, batch: Batch, steps: Sequence[BatchStep]) -> list[str]:
    results = by_step(row)
    cells = [str(row.number), row.status, row.error_message, *(row.input.get(name, "") for name in batch.columns)]
    for step in steps:
        result, fields = results.get(step.pk), fields_of(step.prompt_version)
        if result is None:
            cells += [""] * (len(fields or [""]) + 1)
            continue
        cells += [said_in(result, name) for name in fields or [""]]
        cells.append(as_text(result.run_id and str(result.run_id)))  # type: ignore[attr-defined]
    return cells


def as_object(row: BatchRow, steps: Sequence[BatchStep]) -> dict[str, Any]:
    results = by_step(row)
    said: dict[str, Any] = {"row": row.number, "status": row.status, "input": row.input, "steps": []}
    if row.error_code:
        said["error"] = {"code": row.error_code, "message": row.error_message}
    for step in steps:
        result = results.get(step.pk)
        each: dict[str, Any] = {"step": step.position, "label": str(step), "status": result.status if result else None}
        if result is not None:
            each |= {"answer": result.text, "value": result.value, "run": result.run_id and str(result.run_id)}  # type: ignore[attr-defined]
        said["steps"].append(each)
    return said


def by_step(row: BatchRow) -> dict[Any, BatchResult]:
    return {result.step_id: result for result in row.results.all()}  # type: ignore[attr-defined]
