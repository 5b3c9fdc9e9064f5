"""What an answer is worth by words, numbers and names: on answers of every kind, without a model."""

from uuid import uuid4

import pytest

from apps.chat.citing import cited
from apps.knowledge.search import Hit
from apps.runs.gateway.providers.offline import LEAD, NO_ANSWER, NO_PASSAGES
from evals.scoring import is_refusal, score_answer, statements, unsupported


def hit(text: str, heading: str = "") -> Hit:
    return Hit(uuid4(), uuid4(), "Handbook", heading, None, text, 0, len(text), 1, 1, 1)


HITS = [
    hit(
        "Everybody gets 28 days of paid leave a year. You may carry up to five unused days\ninto the next year.",
        "Leave",
    ),
    hit("The notice period is four weeks in the first two years. Tools and the laptop are handed in.", "Leaving"),
    hit("A hotel may cost $1,200 a week. Ask Mr. Webster at the finance desk.", "Travel"),
]


def scores(text: str, question: str = "What is the rule?") -> dict[str, float]:
    return score_answer(question, text, HITS, cited(text, HITS))


@pytest.mark.parametrize(
    "text",
    [
        "Everybody gets 28 days of paid leave [1].",
        "Everybody gets 28 days of paid leave. [1] The notice period is four weeks [2].",
        "You get twenty-eight days of leave a year. Up to 5 unused days may be carried into the next. [1]",
        f"{LEAD}\n\n> “Everybody gets 28 days of paid leave a year. You may carry up to five unused days.” [1]",
        "It depends:\n\n- 28 days of paid leave [1]\n- a notice period of 4 weeks [2]",
        "| What | How much |\n|---|---|\n| Leave | 28 days [1] |\n| Notice period | four weeks [2] |",
        "**28 days** of leave, and a notice period of four weeks [1][2].",
        "Up to 1200 dollars a week for a hotel; ask Webster at the finance desk [3].",
        "Everybody gets 28 days of paid leave [1]. The passages don't say when it must be asked for.",
    ],
)
def test_an_answer_that_says_what_its_passages_say_is_grounded(text: str) -> None:
    assert scores(text) == {"grounded": 1, "citation_precision": 1, "refused": 0, "cited": 1}


@pytest.mark.parametrize(
    "text",
    [
        "Everybody gets 25 days of paid leave [1].",  # another number
        "Everybody gets 28 days of paid leave, says Miller [1].",  # a name that isn't there
        "Dogs are welcome in the whole office on Fridays [1].",  # another thing
        "Everybody gets 28 days of paid leave.",  # nothing is cited
    ],
)
def test_an_answer_that_says_more_or_cites_nothing_is_not(text: str) -> None:
    assert scores(text)["grounded"] == 0


def test_each_sentence_and_each_mark_counts_for_itself() -> None:
    text = "Everybody gets 28 days of paid leave [1]. The notice period is four weeks [1]. Cats are grey [3][9]."

    found = scores(text)

    assert found == {"grounded": 1 / 3, "citation_precision": 1 / 4, "refused": 0, "cited": 1}
    assert [*unsupported("?", text, HITS, cited(text, HITS))] == [
        "The notice period is four weeks.",
        "Cats are grey.",
    ]


def test_a_name_in_the_question_needs_no_passage_and_a_number_there_does() -> None:
    assert scores("Yes, Bob gets 28 days of leave [1].", "How much leave does Bob get?")["grounded"] == 1
    assert scores("Yes, Bob gets 30 days of leave [1].", "Does Bob get 30 days?")["grounded"] == 0


def test_a_sentence_of_two_passages_needs_both_of_its_marks() -> None:
    both = "Paid leave is 28 days and the notice period four weeks"

    assert scores(f"{both} [1][2].")["citation_precision"] == 1
    assert scores(f"{both} [1].")["citation_precision"] == 0
    assert scores(f"{both} [1][2][3].")["citation_precision"] == 2 / 3


@pytest.mark.parametrize(
    "text",
    [
        NO_ANSWER,
        NO_PASSAGES,
        "I couldn’t find anything about that in the documents.",
        "The passages don't mention a dress code.",
        "There is nothing in the handbook about pensions.",
    ],
)
def test_an_answer_that_says_the_documents_hold_none_is_a_refusal(text: str) -> None:
    assert scores(text) == {"grounded": 1, "citation_precision": 1, "refused": 1, "cited": 0}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Acme pays $300 once, and nothing towards electricity.",
        "The passages don't mention it, but leave is 28 days [1].",
        "The documents don't say how tall it is. It is 5,895 m tall.",
    ],
)
def test_silence_a_plain_nothing_and_an_answer_with_a_source_are_none(text: str) -> None:
    assert not is_refusal(text, cited(text, HITS))


def test_headings_questions_and_lead_ins_claim_nothing() -> None:
    text = "# Leave\n\nWhat do you get? Here is what the handbook says:\n\n- 28 days [1]"

    assert [statement.text for statement in statements(text)] == ["28 days"]
