"""Word documents become headings, lists and tables. No database."""

import pytest

from .files import W, docx, paragraph, refusal, zipped


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
