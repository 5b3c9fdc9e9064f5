"""Files become rows, or a sentence that says which row and column is wrong and what to do. No database."""

import datetime
import io
import json
import zipfile
from typing import Any

import openpyxl
import pytest
from django.core.files.base import ContentFile

from apps.runs.batches import read
from apps.runs.batches.errors import BadFile, Flaw
from apps.runs.batches.read import read_rows


def sheet(data: bytes | str, name: str = "rows.csv") -> Any:
    return read_rows(ContentFile(data.encode() if isinstance(data, str) else data, name=name), name)


def rows(data: bytes | str, name: str = "rows.csv") -> list[dict[str, str]]:
    return list(sheet(data, name).rows)


def flaws(data: bytes | str, name: str = "rows.csv") -> tuple[Flaw, ...]:
    with pytest.raises(BadFile) as caught:
        rows(data, name)
    assert str(caught.value)
    return caught.value.flaws


def workbook(*lines: list[Any], sheets: int = 1) -> bytes:
    book = openpyxl.Workbook()
    for line in lines:
        book.active.append(line)
    for number in range(1, sheets):
        book.create_sheet(f"More {number}")
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("a,b\n1,2\n", {"a": "1", "b": "2"}),
        ("a;b\r\n1,5;2\r\n", {"a": "1,5", "b": "2"}),
        ("a\tb\n1\t2", {"a": "1", "b": "2"}),
        ("a|b\n1|x, y", {"a": "1", "b": "x, y"}),
        ("text\nHello, world; this is all one cell\n", {"text": "Hello, world; this is all one cell"}),
        ('a,b\n"two\nlines, ""quoted""",2\n', {"a": 'two\nlines, "quoted"', "b": "2"}),
        ("\ufeffa,b\n1,2\n", {"a": "1", "b": "2"}),
        ("a,b\nGrüße,2\n".encode("cp1252"), {"a": "Grüße", "b": "2"}),
        ("a,b\n1,ü\n".encode("utf-16"), {"a": "1", "b": "ü"}),
        ("\n\n a ,  b  c\n1,2\n\n", {"a": "1", "b c": "2"}),
        ("a,b,,\n1,2,,\n", {"a": "1", "b": "2"}),
        ("a,,c\n1,2,3\n", {"a": "1", "Column 2": "2", "c": "3"}),
        ("a,b\n1,\0x\n".replace("\0", "\x01"), {"a": "1", "b": "\x01x"}),
    ],
)
def test_csv_is_read_however_it_is_written(data: bytes | str, expected: dict[str, str]) -> None:
    assert rows(data) == [expected]


def test_notes_say_what_was_made_of_a_file() -> None:
    assert sheet("a;;c\n1;2;3\n").notes == (
        "Its cells are parted by semicolons.",
        "Column 2 had no name in the first row, and is called that.",
    )
    assert sheet(workbook(["a"], ["1"], sheets=2), "x.xlsx").notes == ("The first of its 2 sheets was read: “Sheet”.",)


@pytest.mark.parametrize(
    ("data", "name", "expected"),
    [
        ("", "rows.csv", "This file is empty. Choose another one."),
        ("\n \n", "rows.csv", "This file has no rows. The first row has the names of the columns."),
        ("a,b\n", "rows.csv", "There are no rows below the names of the columns. Add at least one."),
        (
            "a,b,a\n1,2,3\n",
            "rows.csv",
            "Column “a”: the first row has this name twice. Give each column a name of its own.",
        ),
        (
            "a,b\n1,2\n1,2,3\n",
            "rows.csv",
            "Row 2: there are 3 cells, and the first row names 2 columns. "
            "Put a cell that has a separator or a line break in it between double quotes.",
        ),
        (
            'a,b\n1,2\n1,"2\n3,4\n',
            "rows.csv",
            "Row 2: a double quote is never closed (about line 4 of the file). "
            "Put the whole cell between double quotes, and double each quote inside it.",
        ),
        (
            f"a\n{'x' * 50_001}\n",
            "rows.csv",
            "Row 1, column “a”: this cell has 50,001 characters, and 50,000 is the most. Shorten it.",
        ),
        ("a\n" + "x\n" * 10_001, "rows.csv", "There are more than 10,000 rows. Split the file into several batches."),
        (
            ",".join(f"c{n}" for n in range(201)),
            "rows.csv",
            "There are more than 200 columns. Leave out those that no prompt needs.",
        ),
        (b"%PDF-1.7 ...", "rows.csv", f"This file holds no table of text. {read.SAVE_AS}"),
        (b"\x7fELF\x02\x01\x01\x00\x00", "rows.csv", f"This file holds no table of text. {read.SAVE_AS}"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 old",
            "rows.xls",
            "This workbook has a password, or is of the old .xls format. "
            "Open it in Excel, save it as .xlsx without a password and upload that.",
        ),
        ("a,b\n1,2\n", "rows.xlsx", f"This isn’t an Excel workbook. {read.SAVE_AS}"),
        (
            b"PK\x03\x04 nothing",
            "rows.xlsx",
            "This workbook is damaged and can’t be read. Open it, save it as a new file and upload that.",
        ),
        (
            '{"a": 1}\n[2]\n',
            "rows.jsonl",
            'Row 2: this line is no JSON object. Write one such as {"name": "value"} on each line.',
        ),
        (
            '{"a": 1}\n{"a": \n',
            "rows.jsonl",
            'Row 2: this line is no JSON object. Write one such as {"name": "value"} on each line.',
        ),
        ("[[", "rows.json", 'Row 1: the file is no JSON object. Write one such as {"name": "value"} on each line.'),
    ],
)
def test_a_file_that_is_none_says_where_and_what_to_do(data: bytes | str, name: str, expected: str) -> None:
    assert list(map(str, flaws(data, name))) == [expected]


def test_all_bad_rows_are_told_at_once_but_no_more_than_twenty() -> None:
    assert [flaw.row for flaw in flaws("a,b\n1\n1,2\n3\n4,5,6\n")] == [1, 3, 4]
    assert len(flaws("a,b\n" + "1\n" * 100)) == 20


def test_json_lines_have_the_columns_of_all_their_objects() -> None:
    lines = [{"a": "x", "b": 3}, {"c": {"d": [1]}, "a": None}, {"b": True, "a": "half \ud800"}]
    data = "\n".join(map(json.dumps, lines))
    expected = [
        {"a": "x", "b": "3", "c": ""},
        {"a": "", "b": "", "c": '{"d": [1]}'},
        {"a": "half ?", "b": "true", "c": ""},
    ]

    assert rows(data, "rows.jsonl") == rows(json.dumps(lines), "rows.json") == rows(data, "rows.txt") == expected


def test_a_workbook_s_cells_are_as_somebody_would_type_them() -> None:
    day = datetime.datetime(2026, 3, 1)  # noqa: DTZ001  (workbooks know no zones)
    data = workbook(
        [None, None, None],
        ["Name", "Count", "Day"],
        ["Ann", 3.0, day],
        [None, None, None],
        ["=1+1", True, day.replace(hour=9)],
        ["half", 0.5],
    )

    assert rows(data, "anything.bin") == [
        {"Name": "Ann", "Count": "3", "Day": "2026-03-01"},
        {"Name": "", "Count": "true", "Day": "2026-03-01 09:00:00"},  # nobody has computed that formula
        {"Name": "half", "Count": "0.5", "Day": ""},
    ]


def test_what_unpacks_to_far_more_is_not_unpacked() -> None:
    file = io.BytesIO(workbook(["a"], ["1"]))
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/bomb.bin", b"\0" * (30 * 2**20))

    assert str(flaws(file.getvalue(), "x.xlsx")[0]).startswith(
        "This workbook unpacks to far more than its rows can hold."
    )


def test_a_workbook_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "LIMITS", read.Limits(wall_s=0))

    assert flaws(workbook(["a"], ["1"]), "x.xlsx") == (read.WORKBOOKS["too_slow"],)
