"""PDF files become paragraphs, headings and pages. No database."""

import time
from pathlib import Path

import pytest
from pypdf import PdfReader, PdfWriter

from apps.knowledge.parse import Limits, read

from .files import Text, column, deflated_zeros, pdf, refusal


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
