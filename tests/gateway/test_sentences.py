import pytest

from apps.runs.gateway.providers.sentences import Sentence, sentences


def texts(passage: str) -> list[str]:
    return [sentence.text for sentence in sentences(passage)]


@pytest.mark.parametrize(
    "expected",
    [
        ["One.", "Two!", "Three?", "Four"],
        ["Dr. Lee met Mrs. Roy at 5 p.m. on Jan. 3.", "They left."],
        ["J. R. R. Tolkien wrote it.", "Then he rested."],
        ["It costs 2.50 a day, e.g. on Monday.", "Ask Acme Inc. for more."],
        ['He said "Stop."', "Then he left."],
        ["有薪假期为二十五天。", "请向经理申请。"],
        [],
    ],
)
def test_paragraph_is_split_where_sentences_end(expected):
    assert texts(" ".join(expected)) == expected


def test_wrapped_lines_are_joined_before_splitting():
    passage = (
        "Employees receive 25 days of paid leave a year, and unused\ndays expire in March. Ask your manager\nfirst."
    )

    assert texts(passage) == [
        "Employees receive 25 days of paid leave a year, and unused days expire in March.",
        "Ask your manager first.",
    ]


def test_line_that_ended_on_purpose_stays_alone():
    passage = (
        "Opening hours of the office\n"
        "Monday: 9 to 17\n"
        "The door is locked outside of these hours, so bring your key with you\n"
        "when you work late."
    )

    assert texts(passage) == [
        "Opening hours of the office",
        "Monday: 9 to 17",
        "The door is locked outside of these hours, so bring your key with you when you work late.",
    ]


def test_headings_are_context_and_items_and_rows_are_sentences():
    passage = """
## Leave

- Paid leave: 25 days
  a year
- Sick leave. No limit.
1) Ask first

Country | Days
--- | ---
France | 11
Spain |

Rules
-----
Be kind.
"""

    assert sentences(passage) == [
        Sentence("Paid leave: 25 days a year", "item", "Leave"),
        Sentence("Sick leave. No limit.", "item", "Leave"),
        Sentence("Ask first", "item", "Leave"),
        Sentence("Country: France; Days: 11", "row", "Leave"),
        Sentence("Country: Spain", "row", "Leave"),
        Sentence("Be kind.", "sentence", "Rules"),
    ]


def test_rows_of_a_table_whose_head_is_in_another_passage():
    assert texts("| France | 11 |\n| Spain | 9 |") == ["France · 11", "Spain · 9"]


def test_code_is_one_piece_even_if_the_passage_ends_inside_it():
    assert sentences("Run this:\n```sh\nmake run\n\nmake test") == [
        Sentence("Run this:", "sentence"),
        Sentence("make run\n\nmake test", "code"),
    ]


def test_quotes_are_plain_text():
    passage = "> The **Pro** plan_b costs `$20`; see [prices](https://x.example) ![logo](l.png)&amp; <b>more</b>.[^1]"

    assert texts(passage) == ["The Pro plan_b costs $20; see prices logo& more."]


@pytest.mark.parametrize(
    "passage", ["*" * 5000, "[" * 5000, "<a" * 5000, "a " * 5000, "|" * 5000, "`" * 5001, "- " * 2500]
)
def test_hostile_text_is_read_quickly(passage):
    sentences(passage)
