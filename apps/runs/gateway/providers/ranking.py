"""Finds the sentences of the passages that answer a question best. No model but the embedder, no prose of its own.

The weights were measured on SQuAD questions over five retrieved paragraphs; `tests/gateway/test_offline.py` keeps the
promise in small.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..types import Passage
from .base import Embedder
from .sentences import Sentence, sentences

CHUNK_WEIGHT = 1.0
COSINE_WEIGHT = 1.5
LEXICAL_WEIGHT = 1.0
QUESTION_TYPE_WEIGHT = 0.3

# How much the words of a question count beside its meaning: `fit`. No more than it takes: each question that is told in
# other words than the documents' has to make up for it.
COVERAGE_WEIGHT = 0.3

PASSAGES_READ = 5


@dataclass(frozen=True, slots=True)
class Ranked:
    """A sentence with the passage it is from, its place there, and how well it fits the question."""

    sentence: Sentence
    passage: Passage
    position: int
    cosine: float
    score: float


def rank(question: str, passages: Sequence[Passage], embedder: Embedder) -> list[Ranked]:
    """All sentences of the best passages, the one that answers best first."""
    read = sorted(passages, key=lambda passage: -passage.score)[:PASSAGES_READ]
    found = [candidate for passage in read for candidate in candidates(passage)]
    if not found:
        return []

    in_context = [context for _, _, _, context in found]
    vectors = embedder.embed([question, *in_context]).vectors
    cosines = vectors[1:] @ vectors[0]
    lexical = overlaps(question, in_context)
    best_passage = max(passage.score for passage in read) or 1.0
    expected = expected_shape(question)

    ranked = [
        Ranked(
            sentence,
            passage,
            place,
            float(cosine),
            CHUNK_WEIGHT * max(0.0, passage.score / best_passage)
            + COSINE_WEIGHT * float(cosine)
            + LEXICAL_WEIGHT * overlap
            + QUESTION_TYPE_WEIGHT * bool(expected and expected.search(sentence.text)),
        )
        for (passage, place, sentence, _), cosine, overlap in zip(found, cosines, lexical, strict=True)
    ]
    return sorted(ranked, key=lambda candidate: -candidate.score)


def fit(question: str, ranked: Sequence[Ranked]) -> float:
    """How surely the passages are about the question: the cosine of the closest sentence, and the coverage.

    The cosine alone takes what sounds alike for an answer, words alone miss what is said in others; on questions about
    other things the two err apart. Each can only raise it, and neither looks at other documents, so that a workspace of
    three needs no other threshold than one of thousands. 0 without sentences.
    """
    if not ranked:
        return 0.0
    closest = max(candidate.cosine for candidate in ranked)
    return closest + COVERAGE_WEIGHT * coverage(question, ranked[0].passage)


def coverage(question: str, passage: Passage) -> float:
    """The share of the question's terms that the passage says, its title and headings included."""
    asked = terms(question)
    said = asked & terms(f"{passage.title} {passage.heading} {passage.text}")
    return len(said) / (len(asked) or 1)


def candidates(passage: Passage) -> Iterator[tuple[Passage, int, Sentence, str]]:
    """What can be quoted, with the text it is compared by: a row says little without its heading, and a sentence says
    "they" of whom the title names. Nobody wants a question quoted as an answer, so a question counts as the heading of
    what follows it."""
    heading = passage.heading.rsplit(" > ", 1)[-1] or passage.title
    asked = ""
    for place, sentence in enumerate(sentences(passage.text)):
        if sentence.text.endswith("?"):
            asked = sentence.text
            continue
        if sentence.kind == "sentence" and is_label(sentence.text):
            continue
        under = asked or sentence.under or heading
        asked = ""
        yield passage, place, sentence, f"{under}: {sentence.text}" if under else sentence.text


def is_label(text: str) -> bool:
    """A line that only names what comes after it."""
    return len(text.split()) < 4 and text[-1].isalnum() and not any(character.isdigit() for character in text)


STOPWORDS = frozenset(
    "a an and any are as at be been but by can could did do does for from had has have he her his how i if in into is "
    "it its me my of on or our she should so than that the their them then there these they this to us was we were "
    "what when where which who whom whose why will with would you your".split()
)


def terms(text: str) -> set[str]:
    """The words that carry meaning, without the endings that English hangs on them."""
    return {stem(word) for word in re.findall(r"\w+", text.lower()) if word not in STOPWORDS}


def stem(word: str) -> str:
    for ending, shortest in (("ies", 3), ("ing", 4), ("ed", 4), ("es", 4), ("s", 3)):
        if word.endswith(ending) and len(word) - len(ending) >= shortest - 1 and not word.endswith("ss"):
            return word[: -len(ending)] + ("y" if ending == "ies" else "")
    return word


def overlaps(question: str, texts: Sequence[str]) -> list[float]:
    """How much of the question each text repeats, rare words counting more; 1 for the best text."""
    asked = terms(question)
    said = [terms(text) & asked for text in texts]
    weight = {
        term: math.log(1 + len(texts) / count) for term in asked if (count := sum(term in words for words in said))
    }
    sums = [sum(weight[term] for term in words) for words in said]
    best = max(sums, default=0.0) or 1.0
    return [total / best for total in sums]


NUMBER = (
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|twelve|dozen|hundred|thousand|million|half|once|twice)\b"
)
DATE = (
    r"\b\d{4}\b|\b\d{1,2}(?::\d\d|st|nd|rd|th)\b|\bcentur|\b(?:Jan|Febr)uary\b|\b(?:March|April|May|June|July|August)\b|"
    r"\b(?:Septem|Octo|Novem|Decem)ber\b|\b(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b|\b(?:daily|weekly|monthly|annual)"
)
NAME = r"(?<!^)(?<![.!?] )\b[A-Z][a-z]+"
SHAPES = (
    (
        re.compile(r"\bhow (?:many|much|long|old|far|often|tall|large|big|fast)\b|\bpercent|\bwhat number\b", re.I),
        NUMBER,
    ),
    (re.compile(r"\bwhen\b|\b(?:what|which) (?:year|date|day|month|century|time)\b", re.I), DATE),
    (re.compile(r"\bwho(?:m|se)?\b|\bwhere\b|\b(?:what|which) (?:country|city|town|state|place)\b", re.I), NAME),
    (re.compile(r"\bwhy\b", re.I), r"\b(?:because|since|due to|so that|in order to|reason|therefore)\b"),
)


def expected_shape(question: str) -> re.Pattern[str] | None:
    """What an answer to this kind of question looks like: a number, a date, a name, a reason."""
    for kind, shape in SHAPES:
        if kind.search(question):
            return re.compile(shape)
    return None
