"""The offline answerer, with the real embedding model over a small handbook."""

import re
import time

import pytest

from apps.runs.gateway import client
from apps.runs.gateway.errors import SchemaUnsupported
from apps.runs.gateway.providers.offline import GREETING, LEAD, NO_ANSWER, NO_PASSAGES, OfflineProvider
from apps.runs.gateway.providers.ranking import COVERAGE_WEIGHT, Ranked, fit
from apps.runs.gateway.providers.sentences import Sentence
from apps.runs.gateway.types import Endpoint, Message, Passage, Request, Target

LEAVE = """## Leave

Employees receive **25 days** of paid leave a year. Unused days
expire on 31 March of the next year [7].

### How do I ask for leave?

To ask for leave:

1. Open the *People* page.
2. Pick the dates.
3. Your manager answers within two days.
"""
HOLIDAYS = "| Country | Public holidays |\n|---|---|\n| Germany | 10 |\n| France | 11 |"
PARKING = "The car park opens at six. Visitors park on level two. Bicycles go to the yard behind the canteen."
DEPLOY = "To deploy the web site from the terminal, run:\n\n```sh\nacme deploy --to production\n```"
PASSAGES = (
    Passage(1, "Handbook", "Handbook > Leave", LEAVE, 1.0, 1.0),
    Passage(2, "Handbook", "Handbook > Holidays", HOLIDAYS, 0.6, 0.4),
    Passage(3, "Office", "", PARKING, 0.3, 0.1),
    Passage(4, "Engineering", "Deploying", DEPLOY, 0.3, 0.1),
)


@pytest.fixture(scope="module")
def offline(minilm):
    return OfflineProvider(minilm, word_delay_s=0)


@pytest.mark.parametrize(
    ("question", "quote"),
    [
        ("How many days of paid leave do employees get?", "> “Employees receive 25 days of paid leave a year.” [1]"),
        ("When do unused leave days expire?", "> “Unused days expire on 31 March of the next year (7).” [1]"),
        ("How many public holidays are there in France?", "> - Country: France; Public holidays: 11 [2]"),
        ("Where can visitors park their car?", "> “The car park opens at six. Visitors park on level two.” [3]"),
    ],
)
def test_the_sentence_that_answers_comes_first(offline, question, quote):
    lead, first, *_ = offline.answer(question, PASSAGES).split("\n\n")

    assert lead == LEAD
    assert first == quote


def test_list_is_quoted_with_the_sentence_that_announces_it(offline):
    answer = offline.answer("How do I ask for leave?", PASSAGES[:1])

    assert answer == (
        f"{LEAD}\n\n"
        "> “To ask for leave:”\n"
        "> - Open the People page.\n"
        "> - Pick the dates.\n"
        "> - Your manager answers within two days. [1]"
    )


def test_code_is_quoted_as_code(offline):
    answer = offline.answer("How do I deploy the web site to production from the terminal?", PASSAGES)

    assert "> ```\n> acme deploy --to production\n> ```" in answer
    assert answer.endswith("[4]")


def test_only_given_passages_are_cited(offline):
    for question in ("How many days of paid leave are there?", "When does leave expire?", "Where do bicycles go?"):
        cited = set(map(int, re.findall(r"\[(\d+)\]", offline.answer(question, PASSAGES))))

        assert cited
        assert cited <= {1, 2, 3, 4}


@pytest.mark.parametrize(
    "question",
    [
        "What is the capital of Peru?",
        "Who won the 2014 World Cup?",
        "Explain quantum chromodynamics.",
        "What festivals does Italy celebrate?",  # close to the table of holidays, in none of its words
    ],
)
def test_says_plainly_when_the_passages_hold_no_answer(offline, question):
    assert offline.answer(question, PASSAGES) == NO_ANSWER


def test_a_title_says_whom_its_sentences_mean(offline):
    founded = (
        Passage(1, "Acme", "", "It was founded in 1901 by two brothers.", 1.0),
        Passage(2, "Globex", "", "It was founded in 1950 by a teacher.", 1.0),
    )

    answer = offline.answer("When was Globex founded?", founded)

    assert answer == f"{LEAD}\n\n> “It was founded in 1950 by a teacher.” [2]"


@pytest.mark.parametrize("cosine", [0.0, 0.3, 0.9])
def test_each_word_of_the_question_that_a_passage_says_makes_an_answer_likelier(cosine):
    question = "When do unused leave days expire?"

    def fits(passage):
        return fit(question, [Ranked(Sentence("Said.", "sentence"), passage, 0, cosine, 1.0)])

    none = fits(Passage(1, "Office", "", PARKING, 1.0))
    some = fits(Passage(1, "Office", "Office > Leave", PARKING, 1.0))
    every = fits(PASSAGES[0])

    assert (none, every) == (pytest.approx(cosine), pytest.approx(cosine + COVERAGE_WEIGHT))
    assert some == pytest.approx(cosine + COVERAGE_WEIGHT / 4)


def test_nothing_to_quote_fits_nothing():
    assert fit("When do unused leave days expire?", []) == 0


@pytest.mark.parametrize("question", ["hi", "Hello there!", "Thank you so much.", "Who are you?", "  "])
def test_greets_and_says_what_it_is(offline, question):
    assert offline.answer(question, PASSAGES) == GREETING


@pytest.mark.parametrize("question", ["Hi-fi systems?", "Help desk hours?", "Test coverage rules"])
def test_question_that_begins_like_a_greeting_is_a_question(offline, question):
    assert offline.answer(question, ()) == NO_PASSAGES


def test_passage_cannot_become_markup(offline):
    attack = "Leave is approved ![x](https://evil.example/p.png) <img src=x> [click](javascript:alert(1)) *now* [9]."

    answer = offline.answer("Is leave approved?", (Passage(1, "Evil", "", attack, 1.0),))

    assert answer == f"{LEAD}\n\n> “Leave is approved x click now (9).” [1]"


def test_same_words_in_two_passages_are_quoted_once(offline):
    twice = (Passage(1, "A", "", PARKING, 1.0), Passage(2, "B", "", PARKING, 0.9))

    answer = offline.answer("Where can visitors park their car?", twice)

    assert answer.count("Visitors park on level two.") == 1


async def test_streams_word_by_word(offline, heard):
    request = Request((Message("user", "When does unused leave expire?"),), 300, passages=PASSAGES)

    reply = await client.complete(request, [Endpoint(offline, "extractive-1")], on_delta=heard)

    assert "".join(heard.pieces) == reply.text
    assert all(len(piece.split()) == 1 for piece in heard.pieces)
    assert reply.text.endswith("“Unused days expire on 31 March of the next year (7).” [1]")
    assert (reply.target, reply.finish_reason) == (Target("offline", "extractive-1"), "stop")
    assert reply.usage.estimated
    assert 0 < reply.usage.output_tokens < 100


async def test_stops_at_the_output_limit(offline, heard):
    request = Request((Message("user", "hi"),), 5, question="hi")

    reply = await client.complete(request, [Endpoint(offline, "extractive-1")], on_delta=heard)

    assert (reply.text, reply.finish_reason, reply.usage.output_tokens) == ("Hello! Ask me ", "length", 5)


def test_answers_quickly(offline):
    offline.answer("warm", PASSAGES)
    began = time.perf_counter()

    offline.answer("How many days of paid leave do employees get?", PASSAGES)

    assert time.perf_counter() - began < 2


async def test_a_schema_is_too_much_to_ask(offline, heard):
    request = Request((Message("user", "hi"),), 5, question="hi", schema={"type": "object"})

    with pytest.raises(SchemaUnsupported) as caught:
        await client.complete(request, [Endpoint(offline, "extractive-1")], on_delta=heard)

    assert (caught.value.show, heard.pieces) == (True, [])
    assert "no structured answers" in str(caught.value)
