"""An uploaded file to rows of text: CSV, Excel workbooks and JSON Lines.

sheet = read_rows(upload, upload.name)      raises BadFile at once for what is no table
for row in sheet.rows: ...                  and at the end for rows that aren't as they should be: the first 20
"""

import csv
import io
import json
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import IO, Any

from django.conf import settings
from django.core.files import File

from apps.tenants.uploads.encoding import decode, is_binary
from apps.tenants.uploads.sandbox import Died, Limits, confined

from .errors import MOST_FAULTS, BadFile, Flaw

MOST_ROWS = 10_000
MOST_COLUMNS = 200
MOST_CELL_CHARS = 50_000
MOST_NAME_CHARS = 200
LIMITS = Limits(wall_s=60, cpu_s=45, memory_mb=1024, text_chars=30_000_000)
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
NO_DELIMITER = "\x1f"  # of a file with one column
SAMPLE_CHARS, SAMPLE_ROWS = 100_000, 30
ZIP_MARK, OLE_MARK, PDF_MARK = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"%PDF-"
SAVE_AS = "Save it as CSV, as an Excel workbook (.xlsx) or as JSON Lines, and upload that."
WORKBOOKS = {
    "no_workbook": Flaw("this isn’t an Excel workbook.", SAVE_AS),
    "damaged": Flaw("this workbook is damaged and can’t be read.", "Open it, save it as a new file and upload that."),
    "bomb": Flaw("this workbook unpacks to far more than its rows can hold.", "Save its rows as CSV and upload that."),
    "too_heavy": Flaw("this workbook needs more memory than one may use.", "Save its rows as CSV and upload that."),
    "too_slow": Flaw("reading this workbook took too long.", "Save its rows as CSV and upload that."),
}


@dataclass(frozen=True, slots=True)
class Sheet:
    """`columns` in the file's order; `rows` are read as they are taken: one dict each, of every column to its text.
    `notes` are sentences about what was made of the file, such as how its cells are parted."""

    columns: tuple[str, ...]
    rows: Iterator[dict[str, str]]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """A row's cells as they are in the file; `fault` is why they can't be read."""

    cells: Sequence[str]
    fault: Flaw | None = None


def read_rows(file: File, name: str) -> Sheet:
    """The rows of an uploaded file, by its content and name. Blocks; an Excel workbook is read by a process of its own.

    Raises BadFile at once, or while the rows are taken.
    """
    if not file.size:
        raise BadFile(Flaw("this file is empty.", "Choose another one."))
    if file.size > settings.MAX_UPLOAD_MB * 2**20:
        raise BadFile(Flaw(f"this file is larger than {settings.MAX_UPLOAD_MB} MB.", "Split it into several batches."))
    file.seek(0)
    head = file.read(8192)
    file.seek(0)
    extension = PurePath(name).suffix.lower()
    if head.startswith(ZIP_MARK):
        return table(*workbook(file))
    if head.startswith(OLE_MARK):
        action = "Open it in Excel, save it as .xlsx without a password and upload that."
        raise BadFile(Flaw("this workbook has a password, or is of the old .xls format.", action))
    if head.startswith(PDF_MARK) or is_binary(head):
        raise BadFile(Flaw("this file holds no table of text.", SAVE_AS))
    if extension in {".xlsx", ".xlsm"}:
        raise BadFile(WORKBOOKS["no_workbook"])
    text = decode(file.read())
    if extension in {".jsonl", ".ndjson", ".json"} or text.lstrip()[:1] == "{":
        return json_lines(text)
    return table(*separated(text))


def table(lines: Iterator[Line], notes: Sequence[str] = ()) -> Sheet:
    """A sheet of lines whose first one that isn't empty has the names of the columns."""
    header = next((line for line in lines if line.fault or any(cell.strip() for cell in line.cells)), None)
    if header is None:
        raise BadFile(Flaw("this file has no rows.", "The first row has the names of the columns."))
    if header.fault:
        raise BadFile(header.fault)
    columns, named = names_of(header.cells)
    return Sheet(columns, rows_of(columns, lines), (*notes, *named))


def names_of(cells: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """The columns' names, and a note for those that had none. Raises BadFile."""
    found = [" ".join(clean(cell).split()) for cell in cells]
    while found and not found[-1]:
        found.pop()
    if len(found) > MOST_COLUMNS:
        raise BadFile(Flaw(f"there are more than {MOST_COLUMNS} columns.", "Leave out those that no prompt needs."))
    notes = []
    for place, name in enumerate(found, start=1):
        if not name:
            found[place - 1] = f"Column {place}"
            notes.append(f"Column {place} had no name in the first row, and is called that.")
    flaws = [
        Flaw("the first row has this name twice.", "Give each column a name of its own.", column=name)
        for name in dict.fromkeys(found)
        if found.count(name) > 1
    ] + [
        Flaw(f"this name is longer than {MOST_NAME_CHARS} characters.", "The first row has names, then come the rows.")
        for name in found
        if len(name) > MOST_NAME_CHARS
    ]
    if flaws:
        raise BadFile.of(flaws)
    return tuple(found), notes


def rows_of(columns: Sequence[str], lines: Iterable[Line]) -> Iterator[dict[str, str]]:
    """The rows, numbered from 1 in what is said of them. Raises BadFile after the last one, or at the 20th flaw."""
    flaws: list[Flaw] = []
    number = 0
    for line in lines:
        if not line.fault and not any(cell.strip() for cell in line.cells):
            continue
        number += 1
        if number > MOST_ROWS:
            raise BadFile(Flaw(f"there are more than {MOST_ROWS:,} rows.", "Split the file into several batches."))
        found = list(flaws_of(line, columns, number))
        flaws += found
        if len(flaws) >= MOST_FAULTS or line.fault:
            break
        if not found:
            yield dict(zip(columns, map(clean, line.cells), strict=False))
    if flaws:
        raise BadFile.of(flaws)
    if not number:
        raise BadFile(Flaw("there are no rows below the names of the columns.", "Add at least one."))


def flaws_of(line: Line, columns: Sequence[str], number: int) -> Iterator[Flaw]:
    if line.fault:
        yield Flaw(line.fault.message, line.fault.action, number)
        return
    if len(line.cells) != len(columns) and (len(line.cells) < len(columns) or any(line.cells[len(columns) :])):
        yield Flaw(
            f"there are {len(line.cells)} cells, and the first row names {len(columns)} columns.",
            "Put a cell that has a separator or a line break in it between double quotes.",
            number,
        )
    for name, cell in zip(columns, line.cells, strict=False):
        if len(cell) > MOST_CELL_CHARS:
            message = f"this cell has {len(cell):,} characters, and {MOST_CELL_CHARS:,} is the most."
            yield Flaw(message, "Shorten it.", number, name)


def clean(text: str) -> str:
    """Text that Postgres keeps: without the zero character and halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def separated(text: str) -> tuple[Iterator[Line], list[str]]:
    """The lines of a CSV file, by the delimiter that fits its beginning."""
    delimiter = delimiter_of(text)
    what = DELIMITERS.get(delimiter)
    notes = [f"Its cells are parted by {what}."] if what and delimiter != "," else []
    return parsed(text, delimiter), notes


def parsed(text: str, delimiter: str) -> Iterator[Line]:
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))  # everybody's; our own limit has a sentence
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            yield Line(cells)
    except csv.Error as error:
        is_open = "unexpected end of data" in str(error)
        what = "a double quote is never closed" if is_open else "a double quote stands where none may"
        action = "Put the whole cell between double quotes, and double each quote inside it."
        yield Line((), Flaw(f"{what} (about line {reader.line_num:,} of the file).", action))


def delimiter_of(text: str) -> str:
    """The one that parts the first rows into as many cells as the header; of those that do equally well, into most."""
    sample, best, best_score = text[:SAMPLE_CHARS], NO_DELIMITER, (0.0, 0)
    for delimiter in DELIMITERS:
        rows: list[int] = []
        for line in parsed(sample, delimiter):
            if line.fault or len(rows) == SAMPLE_ROWS:
                break
            if any(line.cells):
                rows.append(len(line.cells))
        if not rows or rows[0] < 2:
            continue
        score = (sum(count == rows[0] for count in rows) / len(rows), rows[0])
        if score > best_score:
            best, best_score = delimiter, score
    return best


def json_lines(text: str) -> Sheet:
    """Objects, one a line, or a list of them. Columns are the fields of all of them, as they first appear."""
    columns: dict[str, None] = {}
    for number, each in enumerate(objects(text), start=1):
        if isinstance(each, Flaw):
            raise BadFile(Flaw(each.message, each.action, number))
        columns |= dict.fromkeys(each)
        if number > MOST_ROWS:
            break
    if not columns:
        raise BadFile(Flaw("there are no rows in this file.", "Write one JSON object a line."))
    names, notes = names_of(list(columns))
    if names != tuple(columns):
        raise BadFile(Flaw("a field has no name, or one with spaces around it.", "Give each field a plain name."))
    lines = (Line([text_of(each.get(name)) for name in names]) for each in objects(text) if isinstance(each, dict))
    return Sheet(names, rows_of(names, lines), tuple(notes))


def objects(text: str) -> Iterator[dict[str, Any] | Flaw]:
    if text.lstrip()[:1] == "[":
        yield from listed(text)
        return
    for line in io.StringIO(text):
        if line.strip():
            yield loaded(line)


def listed(text: str) -> Iterator[dict[str, Any] | Flaw]:
    try:
        for each in json.loads(text):
            yield each if isinstance(each, dict) else no_object("this")
    except (ValueError, RecursionError):
        yield no_object("the file")


def loaded(line: str) -> dict[str, Any] | Flaw:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return no_object("this line")
    return value if isinstance(value, dict) else no_object("this line")


def no_object(what: str) -> Flaw:
    return Flaw(f"{what} is no JSON object.", 'Write one such as {"name": "value"} on each line.')


def text_of(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def workbook(file: File) -> tuple[Iterator[Line], list[str]]:
    """The lines of a workbook's first sheet. Raises BadFile."""
    with tempfile.TemporaryDirectory(dir=settings.FILE_UPLOAD_TEMP_DIR) as folder:
        path = Path(folder) / "workbook.xlsx"
        with path.open("wb") as copy:
            for block in file.chunks():
                copy.write(block)
        until = time.monotonic() + LIMITS.wall_s
        try:
            output = confined("apps.runs.batches.workbook", [str(path), json.dumps(asdict(LIMITS))], until=until)
        except Died as died:
            code = "too_slow" if died.is_slow else "too_heavy" if died.is_heavy else "damaged"
            raise BadFile(WORKBOOKS[code]) from died
    lines = said(output)
    first = next(lines, None)
    if not isinstance(first, dict) or "sheets" not in first:
        raise BadFile(WORKBOOKS.get((first or {}).get("error", ""), WORKBOOKS["damaged"]))
    sheets = first["sheets"]
    notes = [f"The first of its {len(sheets)} sheets was read: “{sheets[0]}”."] if len(sheets) > 1 else []
    return sheet_lines(lines), notes


def said(output: IO[bytes]) -> Iterator[Any]:
    with closing(output):
        for line in output:
            if line.strip():
                yield json.loads(line)


def sheet_lines(lines: Iterator[Any]) -> Iterator[Line]:
    width = 0
    for each in lines:
        if isinstance(each, dict):
            yield Line((), WORKBOOKS.get(each.get("error", ""), WORKBOOKS["damaged"]))
            return
        width = width or len(each)
        yield Line([*each, *[""] * (width - len(each))])
