"""CSV that is opened with a spreadsheet, and must not run what is in it."""

import csv
import io
from collections.abc import Iterable, Sequence

MARK = "\ufeff"  # at the beginning: by it spreadsheets know UTF-8
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def lines(rows: Iterable[Sequence[str]]) -> str:
    """The rows as lines of CSV, every cell in quotes and harmless."""
    return plain_lines([harmless(cell) for cell in row] for row in rows)


def plain_lines(rows: Iterable[Sequence[str]]) -> str:
    """The same of cells that are harmless already."""
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows(rows)
    return out.getvalue()


def harmless(cell: str) -> str:
    """With an apostrophe before what a spreadsheet would take for a formula and run."""
    return f"'{cell}" if cell.lstrip(" \u00a0").startswith(FORMULA) else cell
