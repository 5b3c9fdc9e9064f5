"""What may differ between two questions that share an answer, and what may not."""

import os
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apps.runs.gateway.providers.minilm import MiniLM
from apps.runs.terms import stands_alone, terms
from tests.conftest import ROOT

from .pairs import ADVERSARIAL, PARAPHRASES, Pair

THRESHOLD = 0.95  # Policy's default
WORDS = [
    *"what who when how many much is are can must not never before after more less Alice Bob Berlin 5 20 ten".split(),
    *"km days of paid leave per month the a policy employees contract isn't without VAT US us May may ends".split(),
]
questions = st.lists(st.sampled_from(WORDS), min_size=1, max_size=10).map(" ".join)
anything = st.text(max_size=80)


@pytest.fixture(scope="module")
def minilm() -> MiniLM:
    state = Path(os.environ.get("STATE_DIR") or ROOT / ".corbel")
    return MiniLM(Path(os.environ.get("MINILM_DIR") or state / "models" / "minilm"))


def hits(pairs: list[Pair], minilm: MiniLM) -> list[Pair]:
    """Those of which the second would be given the first's answer."""
    first, second = (minilm.embed(list(side)).vectors for side in zip(*pairs, strict=True))
    cosines = np.sum(first * second, axis=1)
    return [
        (a, b) for (a, b), cosine in zip(pairs, cosines, strict=True) if cosine >= THRESHOLD and terms(a) == terms(b)
    ]


def test_there_are_enough_pairs() -> None:
    assert len(set(chain(*ADVERSARIAL.values()))) >= 150
    assert len(set(chain(*PARAPHRASES.values()))) >= 60


@pytest.mark.parametrize("kind", ADVERSARIAL)
def test_questions_with_other_answers_never_agree(kind: str) -> None:
    assert [pair for pair in ADVERSARIAL[kind] if terms(pair[0]) == terms(pair[1])] == []


def test_no_false_hit_and_as_many_true_ones_as_we_say(minilm: MiniLM) -> None:
    wrong = hits(list(chain(*ADVERSARIAL.values())), minilm)
    right = hits(list(chain(*PARAPHRASES.values())), minilm)

    assert wrong == []
    assert len(right) >= 23  # 24 where docs/gateway-cache.md was written; another processor rounds another way


@given(questions, questions)
def test_agreeing_is_symmetric_and_the_embedder_has_no_say_in_it(a: str, b: str) -> None:
    assert (terms(a) == terms(b)) is (terms(b) == terms(a))
    assert terms(a) == terms(a)


@given(anything)
@example("\0 0 \0")
@example("'s n't of of $ °")
def test_any_text_has_terms(text: str) -> None:
    assert all(terms(text))
    stands_alone(text)


@given(questions)
def test_politeness_space_and_punctuation_change_nothing(question: str) -> None:
    expected = terms(question)

    for same in (
        f"  {question} ?",
        f"{question}!",
        f"Hello, {question}",
        f"{question}, please.",
        f"{question}. Thanks!",
    ):
        assert terms(same) == expected


@given(st.lists(st.sampled_from(WORDS), min_size=2, max_size=8), st.data())
@pytest.mark.parametrize("word", ["not", "never", "without", "no", "7", "Carol", "before", "minimum", "kg", "2031"])
def test_one_word_that_matters_more_or_less_is_another_question(
    word: str, words: list[str], data: st.DataObject
) -> None:
    at = data.draw(st.integers(1, len(words)))
    changed = [*words[:at], word, *words[at:]]

    assert terms(" ".join(changed)) != terms(" ".join(words))


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_numbers_agree_only_with_themselves(a: int, b: int) -> None:
    assert (terms(f"Who approves {a} dollars?") == terms(f"Who approves ${b}?")) is (a == b)
    assert terms(f"Is it {a:,} days?") == terms(f"Is it {a} days?")


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How many days of paid leave do we get?", "how many paid leave day we get"),
        ("Isn't the fee $1,000 a year?", "is not fee 1000 usd per year"),
        ("Could you please tell me who approved Anna's twenty-five trips?", "who approved anna 25 trip"),
        ("What does the WHO say in May 2020?", "what do ^who say in ^may 2020"),
        ('What is meant by "Net 30"?', 'what is meant by "net·30'),
        ("Is 5km at 9 am within E-113?", "is 5 km at 9 a.m within e-113"),
    ],
)
def test_terms_in_so_many_words(question: str, expected: str) -> None:
    assert " ".join(terms(question)) == expected


@pytest.mark.parametrize(
    "question",
    [
        *("And in May?", "What about it?", "Why?", "How is that paid?", "What do they cost?", "Who signed this?"),
        *("What is due tomorrow?", "What was sold last month?", "Is the office open now?", "What else is included?"),
        *("So what does the contract say?", "What did you mean by that?", "", "???", "x" * 1_001),
    ],
)
def test_a_question_that_leans_on_another_or_on_the_day_isnt_kept(question: str) -> None:
    assert not stands_alone(question)


@pytest.mark.parametrize(
    "question",
    [
        *("How many days of paid leave do we get?", "Is it allowed to smoke?", "Who leads IT?", "notice period"),
        *("Which expenses that exceed 50 dollars are paid?", "What was decided in May 2024?", "Wie viele Tage Urlaub?"),
    ],
)
def test_a_question_that_says_all_it_means_is(question: str) -> None:
    assert stands_alone(question)
