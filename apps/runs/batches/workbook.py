"""The first sheet of an Excel workbook as JSON Lines: `python -m apps.runs.batches.workbook PATH LIMITS`.

Started by apps.runs.batches.read in a process of its own. It writes {"sheets": [...]} first, then each row's cells as a
list of text, and {"error": code} at the end if something was wrong. No Django here.
"""

import datetime
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from apps.tenants.uploads.bounds import bound

MOST_MB = 200  # of all parts, unpacked: ten thousand long rows take about a tenth of that
MOST_RATIO = 200  # unpacked to packed, of a part of some size
SOME_SIZE = 5 * 2**20
MOST_ROWS = 10_001  # with the header; one more says that there are too many
MOST_COLUMNS = 300
EMPTY_AT_MOST = 10_000  # rows in a row; formatted cells without anything in them may go on to the millionth


def fault_of(path: Path) -> str:
    """Why the file isn't unpacked at all, "" if nothing speaks against it."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, OSError):
        return "damaged"
    if "xl/workbook.xml" not in {part.filename for part in parts}:
        return "no_workbook"
    if sum(part.file_size for part in parts) > MOST_MB * 2**20:
        return "bomb"
    if any(part.file_size > SOME_SIZE and part.file_size > MOST_RATIO * part.compress_size for part in parts):
        return "bomb"
    return ""


def lines(path: Path) -> Iterator[Any]:
    if fault := fault_of(path):
        yield {"error": fault}
        return
    from openpyxl import load_workbook

    book = load_workbook(path, read_only=True, data_only=True, keep_links=False)
    sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"] or book.worksheets
    if not sheets:
        yield {"error": "no_workbook"}
        return
    yield {"sheets": [sheet.title for sheet in sheets]}
    sheet, rows, empty = sheets[0], 0, 0
    sheet.reset_dimensions()  # what the file says of its size may be anything
    for row in sheet.iter_rows(max_col=MOST_COLUMNS, values_only=True):
        cells = [text_of(value) for value in row]
        if not any(cells):
            empty += 1
            if empty > EMPTY_AT_MOST:
                return
            yield []
            continue
        yield cells
        rows, empty = rows + 1, 0
        if rows > MOST_ROWS:
            return


def text_of(value: Any) -> str:
    """A cell as somebody would type it: 3 not 3.0, dates as ISO 8601 writes them."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case datetime.datetime() if value.time() == datetime.time():
            return value.date().isoformat()
        case datetime.datetime():
            return value.isoformat(sep=" ", timespec="seconds")
        case datetime.date() | datetime.time():
            return value.isoformat()
    return str(value)


def main() -> None:
    path, limits = Path(sys.argv[1]), json.loads(sys.argv[2])
    bound(limits)
    try:
        for line in lines(path):
            sys.stdout.write(json.dumps(line) + "\n")
    except MemoryError:
        sys.stdout.write('\n{"error": "too_heavy"}\n')
    except Exception as error:  # whatever a strange file does to its parser
        sys.stderr.write(f"{error!r}\n")
        sys.stdout.write('\n{"error": "damaged"}\n')


if __name__ == "__main__":
    main()
