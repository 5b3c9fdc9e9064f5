"""Files of every kind become text or a sentence that says what to do. No database."""

import codecs
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from pypdf import PdfReader, PdfWriter

from apps.knowledge.formats.errors import REASONS
from apps.knowledge.parse import Limits, Parsed, ParseError, end, parse, read, sniff

from .files import Text, W, column, deflated_zeros, docx, paragraph, pdf, zipped


@pytest.fixture
def parsed(tmp_path: Path):
    """Parse these bytes as an uploaded file of that name."""

    def parsed(data: bytes, filename: str, **options: Limits) -> Parsed:
        path = tmp_path / filename
        path.write_bytes(data)
        return parse(path, sniff(data[:8192], filename), **options)

    return parsed


def refusal(function, *arguments, **options) -> ParseError:
    with pytest.raises(ParseError) as caught:
        function(*arguments, **options)
    return caught.value


def test_every_reason_says_what_is_wrong_and_what_to_do() -> None:
    for message, action, _ in REASONS.values():
        assert message.endswith(".")
        assert action.endswith(".")
        assert len(message) < 150
        assert len(action) < 150


class TestSniff:
    @pytest.mark.parametrize(
        ("head", "filename", "kind"),
        [
            (b"%PDF-1.7\n", "report.pdf", "pdf"),
            (b"\n\n%PDF-1.4\n", "REPORT.PDF", "pdf"),
            (b"%PDF-1.7\n", "really-a-pdf.txt", "pdf"),
            (b"PK\x03\x04....", "letter.docx", "docx"),
            (b"<!doctype html><p>", "page.htm", "html"),
            (b"# Title", "notes.md", "md"),
            (b"# Title", "notes.markdown", "md"),
            (b"Files begin with %PDF- when they are PDFs.", "about.txt", "txt"),
            (b"hello", "README", "txt"),
            ("Grüße".encode("cp1252"), "old.txt", "txt"),
            (codecs.BOM_UTF16_LE + "hi".encode("utf-16-le"), "windows.txt", "txt"),
        ],
    )
    def test_kind_comes_from_content_and_name(self, head: bytes, filename: str, kind: str) -> None:
        assert sniff(head, filename) == kind

    @pytest.mark.parametrize(
        ("head", "filename", "code"),
        [
            (b"", "empty.txt", "empty"),
            (b"<html>not found</html>", "report.pdf", "not_a_pdf"),
            (b"%PDF-1.7", "report.xlsx", None),
            (b"hello", "letter.docx", "not_a_docx"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), "letter.docx", "password"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1WordDocument", "letter.docx", "locked_or_old"),
            (b"PK\x03\x04", "slides.pptx", "unsupported"),
            (b"\x89PNG", "photo.png", "unsupported"),
            (b"MZ\x90", "setup.exe", "unsupported"),
            (b"{\\rtf1", "letter.txt", "unsupported"),
            (b"\x7fELF\x02\x01\x01\x00\x00", "notes.txt", "not_text"),
        ],
    )
    def test_what_it_is_not_is_told(self, head: bytes, filename: str, code: str | None) -> None:
        if code is None:
            assert sniff(head, filename) == "pdf"
        else:
            assert refusal(sniff, head, filename).code == code

    def test_presentations_are_told_what_to_become(self) -> None:
        error = refusal(sniff, b"PK\x03\x04", "slides.pptx")

        assert error.message == "PowerPoint presentations can't be read."
        assert error.action == "Save it as PDF, DOCX, HTML, Markdown or plain text and upload that."
        assert error.permanent


class TestText:
    @pytest.mark.parametrize(
        ("encoding", "mark"),
        [
            ("utf-8", b""),
            ("utf-8", codecs.BOM_UTF8),
            ("utf-16-le", codecs.BOM_UTF16_LE),
            ("utf-16-be", codecs.BOM_UTF16_BE),
            ("utf-16-le", b""),
            ("utf-32-le", codecs.BOM_UTF32_LE),
            ("cp1252", b""),
        ],
    )
    def test_encodings_are_recognised(self, parsed, encoding: str, mark: bytes) -> None:
        text = "Die Straße nach Köln kostet 15,50 € – “günstig”, sagt man."

        assert parsed(mark + text.encode(encoding), "text.txt").text == text

    @pytest.mark.parametrize("encoding", ["cp1251", "shift_jis", "gb18030", "cp1250"])
    def test_other_encodings_are_guessed_from_enough_text(self, parsed, encoding: str) -> None:
        text = {
            "cp1251": "Все люди рождаются свободными и равными в своем достоинстве и правах. ",
            "shift_jis": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
            "gb18030": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
            "cp1250": "Zażółć gęślą jaźń. Wszyscy ludzie rodzą się wolni i równi pod względem swej godności. ",
        }[encoding] * 4

        assert parsed(text.encode(encoding), "text.txt").text == text.strip()

    def test_text_is_normalised(self, parsed) -> None:
        written = "Cafe\u0301 one\r\nline\u00a0two\rthree\x07 \ufb01nal\u200b\n\n\n\n  \nend  \n"

        assert parsed(written.encode(), "text.txt").text == "Café one\nline two\nthree final\n\nend"

    def test_hard_wrapped_paragraphs_become_one_line(self, parsed) -> None:
        written = (
            "The quick brown fox jumps over the lazy dog and runs\naway from the hounds that chase it through the\n"
            "forest.\n\nAcme Ltd.\n1 High Street\nLondon\n"
        )

        assert parsed(written.encode(), "text.txt").text == (
            "The quick brown fox jumps over the lazy dog and runs away from the hounds that chase it through the "
            "forest.\n\nAcme Ltd.\n1 High Street\nLondon"
        )

    def test_file_without_words_has_no_text(self, parsed) -> None:
        assert refusal(parsed, b" \n\t\n --- \n", "blank.txt").code == "no_text"


class TestMarkdown:
    def test_paragraphs_and_items_become_one_line_each(self, parsed) -> None:
        hard_break = "  "
        written = f"""---
title: "Leave policy"
tags: [hr]
---

<!-- an editor's note -->
Annual leave
============

You have thirty days
of leave. In the year
2024. it was 28.

- first item
  goes on
- second item
  1. numbered

Sub
---

A line that ends{hard_break}
on purpose.

| a | b |
|---|---|
| 1 | 2 |

```python
x = 1  # <!-- kept -->

y = 2
```
"""

        result = parsed(written.encode(), "leave.md")

        assert result.title == "Leave policy"
        assert (
            result.text
            == """# Annual leave

You have thirty days of leave. In the year 2024. it was 28.

- first item goes on
- second item
  1. numbered

## Sub

A line that ends
on purpose.

| a | b |
|---|---|
| 1 | 2 |

```python
x = 1  # <!-- kept -->

y = 2
```"""
        )

    def test_title_is_the_first_heading_if_there_is_no_front_matter(self, parsed) -> None:
        assert parsed(b"# Travel\n\nBy train.", "travel.md").title == "Travel"
        assert parsed(b"## Travel\n\nBy train.", "travel.md").title is None

    def test_one_endless_paragraph_is_read_in_time(self, parsed) -> None:
        result = parsed(b"some words here, and there.\n" * 100_000, "long.md", limits=Limits(cpu_s=10))

        assert result.text.count("\n") == 0


class TestHtml:
    def test_page_becomes_what_a_reader_reads(self, parsed) -> None:
        page = """<!doctype html><html><head><title>Leave | Acme</title><style>p {}</style></head><body>
            <nav><a href="/">Home</a></nav><script>alert(1)</script>
            <main><h1>Leave</h1><p>Thirty <b>days</b>
            a year.<br>Ask early.</p>
            <ul><li>Summer</li><li>Winter<ol><li>Ski</li></ol></li></ul>
            <table><tr><th>Year</th><th>Days</th></tr><tr><td>2024</td><td>28 | 30</td></tr></table>
            <h2>Sick leave</h2><pre>call\n  us</pre><p hidden>secret</p></main>
            <footer>© Acme</footer></body></html>"""

        result = parsed(page.encode(), "leave.html")

        assert result.title == "Leave"
        assert (
            result.text
            == """# Leave

Thirty days a year.
Ask early.

- Summer
- Winter
  1. Ski

| Year | Days |
| --- | --- |
| 2024 | 28 \\| 30 |

## Sick leave

```
call
  us
```"""
        )

    def test_page_inside_a_form_or_layout_table_is_read(self, parsed) -> None:
        page = b"<form><table><tr><td><h1>News</h1><p>We moved.</p><input value=x></td></tr></table></form>"

        assert parsed(page, "old.html").text == "# News\n\nWe moved."

    def test_declared_encoding_is_obeyed(self, parsed) -> None:
        page = '<meta charset="windows-1251"><p>Привет, мир'.encode("cp1251")

        assert parsed(page, "ru.html").text == "Привет, мир"

    @pytest.mark.parametrize("data", [b"<div>" * 200_000 + b"deep", b"<div>" * 200_000 + b"deep" + b"</div>" * 200_000])
    def test_elements_nested_without_end_are_refused(self, parsed, data: bytes) -> None:
        assert refusal(parsed, data, "deep.html").code == "too_deep"

    def test_unclosed_paragraphs_are_no_depth(self, parsed) -> None:
        page = b"<p>word" * 3000 + b"<ul>" + b"<li>item" * 3000 + b"</ul><table>" + b"<tr><td>a<td>b" * 3000

        assert parsed(page, "sloppy.html").text.count("word") == 3000


class TestPdf:
    def test_lines_become_paragraphs_headings_and_pages(self, parsed) -> None:
        first = [
            Text("Travel policy", y=780, size=18),
            *column(
                "Employees who travel for the company book their own train tickets through",
                "the portal. Flights need the approval of a manager before they are booked.",
                top=740,
            ),
            Text("Hotels", y=690, size=13),
            *column(
                "A room costs at most 120 euros a night in most cities; in London and Paris it is",
                "180 euros, and a receipt is always",
                top=670,
            ),
        ]
        second = column(
            "needed. Breakfast may be included in the price.",
            "- Keep the receipt",
            "- Send it within a month",
        )

        result = parsed(pdf(first, second, title="Travel policy"), "travel.pdf")

        assert result.title == "Travel policy"
        assert (
            result.text
            == """# Travel policy

Employees who travel for the company book their own train tickets through the portal. Flights need the approval of a \
manager before they are booked.

## Hotels

A room costs at most 120 euros a night in most cities; in London and Paris it is 180 euros, and a receipt is always \
needed. Breakfast may be included in the price.
- Keep the receipt
- Send it within a month"""
        )
        assert [result.text[start:].split()[0] for start in result.page_starts] == ["#", "needed."]

    def test_words_broken_by_a_hyphen_are_whole_again(self, parsed) -> None:
        page = column(
            "The well-known rules of retrieval are easy to state, and they are hard to imple-",
            "ment. Most teams begin with a list of documents and a question, and a well-",
            "known method finds the paragraph that answers it, in a second or less than that.",
        )

        text = parsed(pdf(page), "rules.pdf").text

        assert "hard to implement. Most" in text
        assert "a well-known method" in text

    def test_running_heads_and_page_numbers_are_dropped(self, parsed) -> None:
        pages = [
            [
                Text("Acme handbook", y=810),
                *column(f"Rule {number} of the house says that this is page {number} of it, and that it", "ends here."),
                Text(f"Page {number} of 5", y=30),
            ]
            for number in range(1, 6)
        ]

        result = parsed(pdf(*pages), "rules.pdf")

        assert result.text.count("Acme handbook") == 1
        assert "of 5" not in result.text
        assert result.text.count("ends here.") == 5
        assert len(result.page_starts) == 5

    def test_rows_of_numbers_are_no_running_heads(self, parsed) -> None:
        pages = [column(*(f"{page * 7} {row * 3}" for row in range(20))) for page in range(1, 7)]

        text = parsed(pdf(*pages), "table.pdf").text

        assert sum(text.split().count(str(page * 7)) for page in range(1, 7)) >= 6 * 20

    def test_columns_are_read_one_after_the_other(self, parsed) -> None:
        left = column("The left column begins here and it", "goes on until a sentence that runs", "over into the")
        right = column("right column. That is where the", "text ends for good, as it seems.", x=320)

        assert "runs over into the right column. That is where the text" in parsed(pdf(left + right), "two.pdf").text

    def test_page_without_text_begins_where_the_next_does(self, parsed) -> None:
        result = parsed(pdf(column("First page of words."), [], column("Third page of words.")), "gap.pdf")

        assert result.page_starts == [0, 22, 22]

    def test_scan_is_told_to_be_one(self, parsed) -> None:
        error = refusal(parsed, pdf([], [Text("3", y=20)], [], picture=True), "scan.pdf")

        assert error.message.startswith("No text found in this file")
        assert error.code == "scan"

    def test_blank_pages_have_no_text(self, parsed) -> None:
        assert refusal(parsed, pdf([], []), "blank.pdf").code == "no_text"

    def test_password_is_asked_to_be_removed(self, parsed, tmp_path: Path) -> None:
        (tmp_path / "open.pdf").write_bytes(pdf(column("Secret words.")))
        writer = PdfWriter(clone_from=PdfReader(tmp_path / "open.pdf"))
        writer.encrypt("sesame", algorithm="RC4-128")
        writer.write(tmp_path / "locked.pdf")

        error = refusal(parsed, (tmp_path / "locked.pdf").read_bytes(), "locked.pdf")

        assert error.code == "password"
        assert "without" in error.action

    @pytest.mark.parametrize("data", [b"%PDF-1.7 " + bytes(range(256)) * 100, pdf(column("Hello."))[:700], b"%PDF-1.7"])
    def test_damaged_file_is_told_to_be_one(self, parsed, data: bytes) -> None:
        assert refusal(parsed, data, "broken.pdf").code == "damaged"

    def test_stream_that_inflates_without_end_is_refused(self, parsed) -> None:
        bomb = pdf([], content=deflated_zeros(240))

        assert len(bomb) < 500_000
        assert refusal(parsed, bomb, "bomb.pdf", limits=Limits(memory_mb=256)).code == "bomb"

    def test_file_that_pdfium_refuses_is_read_by_pypdf(self, tmp_path: Path) -> None:
        path = tmp_path / "a.pdf"
        path.write_bytes(pdf(column("The first line of a paragraph is long enough,", "and this is the next.")))

        result = read(path, "pdf-slowly", time.monotonic() + 60, Limits())

        assert result.text == "The first line of a paragraph is long enough, and this is the next."
        assert result.page_starts == [0]


class TestDocx:
    def test_paragraphs_headings_lists_and_tables(self, parsed) -> None:
        styles = (
            '<w:style w:styleId="T"><w:name w:val="Title"/></w:style>'
            '<w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>'
            '<w:style w:styleId="Own"><w:name w:val="Our headline"/><w:basedOn w:val="berschrift1"/></w:style>'
            '<w:style w:styleId="L"><w:pPr><w:numPr><w:numId w:val="1"/></w:numPr></w:pPr></w:style>'
            '<w:style w:styleId="V1"><w:name w:val="toc 1"/></w:style>'
        )

        def styled(text: str, style: str) -> str:
            return paragraph(text, f'<w:pStyle w:val="{style}"/>')

        def cell(text: str) -> str:
            return f"<w:tc>{paragraph(text)}</w:tc>"

        nested = '<w:numPr><w:ilvl w:val="1"/><w:numId w:val="1"/></w:numPr>'
        body = (
            styled("House rules", "T")
            + styled("1 Leave 3", "V1")
            + styled("Leave", "berschrift1")
            + paragraph("Thirty days.")
            + styled("summer", "L")
            + paragraph("June", nested)
            + styled("Pay", "Own")
            + f"<w:tbl><w:tr>{cell('Year')}{cell('Days')}</w:tr><w:tr>{cell('2024')}{cell('28')}</w:tr></w:tbl>"
        )

        result = parsed(docx(body, styles=styles, title="Template 3"), "rules.docx")

        assert result.title == "House rules"
        assert (
            result.text
            == """# House rules

# Leave

Thirty days.

- summer
  - June

# Pay

| Year | Days |
| --- | --- |
| 2024 | 28 |"""
        )

    def test_what_other_readers_lose_is_read(self, parsed) -> None:
        body = (
            "<w:p><w:r><w:t>Kept </w:t></w:r><w:ins><w:r><w:t>inserted</w:t></w:r></w:ins>"
            "<w:del><w:r><w:delText>deleted</w:delText></w:r></w:del>"
            '<w:r><w:footnoteReference w:id="2"/></w:r></w:p>'
            f"<w:sdt><w:sdtContent>{paragraph('In a form field')}</w:sdtContent></w:sdt>"
            f"<w:p><w:r><w:txbxContent>{paragraph('In a box')}</w:txbxContent></w:r></w:p>"
            "<w:p><w:r><w:rPr><w:b/></w:rPr><w:t>Bold heading</w:t></w:r></w:p>"
        )
        notes = f'<w:footnote w:id="2">{paragraph("A note")}</w:footnote>'

        result = parsed(docx(body, footnotes=notes, title="From properties"), "revised.docx")

        assert result.text == "Kept inserted\n\nA note\n\nIn a form field\n\nIn a box\n\n# Bold heading"
        assert result.title == "From properties"

    def test_archive_that_inflates_without_end_is_refused(self, parsed) -> None:
        bomb = zipped({"[Content_Types].xml": "<Types/>", "word/document.xml": "<a>" + " " * 100_000_000 + "</a>"})

        assert len(bomb) < 150_000
        assert refusal(parsed, bomb, "bomb.docx").code == "bomb"

    def test_entities_are_not_expanded(self, parsed) -> None:
        document = (
            '<!DOCTYPE d [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;">]>'
            f"<w:document {W}><w:body><w:p><w:r><w:t>Hi &b;</w:t></w:r></w:p></w:body></w:document>"
        )

        result = parsed(zipped({"[Content_Types].xml": "<Types/>", "word/document.xml": document}), "lol.docx")

        assert "lol" not in result.text

    @pytest.mark.parametrize(
        ("data", "code"),
        [
            (zipped({"hello.txt": "hello"}), "not_a_docx"),
            (docx(paragraph("hello") * 50)[:400], "damaged"),
            (docx("<w:p>" * 2000), "damaged"),
            (docx(""), "no_text"),
        ],
    )
    def test_other_archives_are_refused(self, parsed, data: bytes, code: str) -> None:
        assert refusal(parsed, data, "letter.docx").code == code


class TestProcess:
    def test_hanging_reader_is_killed_in_time(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        began = time.monotonic()

        error = refusal(read, tmp_path / "pipe", "txt", began + 1, Limits(wall_s=1))

        assert error.code == "too_slow"
        assert not error.permanent
        assert time.monotonic() - began < 5

    def test_reader_is_killed_with_all_it_started(self) -> None:
        process = subprocess.Popen(["sh", "-c", "sleep 60 & sleep 60"], start_new_session=True)
        time.sleep(0.2)

        end(process)

        assert process.returncode == -signal.SIGKILL
        time.sleep(0.2)
        assert living(process.pid) == []

    def test_processor_time_is_bounded(self, parsed) -> None:
        assert refusal(parsed, b"<p>word</p>" * 900_000, "long.html", limits=Limits(cpu_s=1)).code == "too_slow"

    def test_memory_is_bounded(self, parsed) -> None:
        assert refusal(parsed, b"<b>x</b>" * 1_500_000, "wide.html", limits=Limits(memory_mb=150)).code == "too_heavy"

    def test_text_is_bounded(self, parsed) -> None:
        error = refusal(parsed, b"word " * 300, "long.txt", limits=Limits(text_chars=1000))

        assert error.message == "This file holds more than 1,000 characters of text."

    def test_reader_inherits_no_secret(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SECRET_KEY", "hush")

        environment = read(Path("/proc/self/environ"), "txt", time.monotonic() + 30, Limits()).text

        assert "hush" not in environment

    def test_stored_file_that_is_gone_is_told(self, tmp_path: Path) -> None:
        assert refusal(parse, tmp_path / "gone.txt", "txt").code == "missing"


def living(group: int) -> list[str]:
    """Processes of a group that still run; a killed one that nobody has waited for is not among them."""
    listed = subprocess.run(["ps", "-eo", "pgid=,stat=,pid="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return [pid for pgid, state, pid in rows if int(pgid) == group and not state.startswith("Z")]
