"""Text, Markdown and HTML become light Markdown. No database."""

import codecs

import pytest

from apps.knowledge.parse import Limits

from .files import refusal


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
