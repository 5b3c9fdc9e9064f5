"""An uploaded file to rows of text: CSV, Excel workbooks and JSON Lines."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.core.files import File


@dataclass(frozen=True, slots=True)
class Sheet:
    """`columns` in the file's order; `rows` are read as they are taken: one dict of column to text each, every column in
    it. `notes` are sentences about what was made of the file, such as how its text is encoded."""

    columns: tuple[str, ...]
    rows: Iterator[dict[str, str]]
    notes: tuple[str, ...] = ()


def read_rows(file: File, name: str) -> Sheet:
    """The rows of an uploaded file, by its content and name. Blocks; an Excel workbook is read by a process of its own.

    Raises BadFile at once, or while the rows are taken.
    """
    raise NotImplementedError
