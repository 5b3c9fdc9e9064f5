"""How well an answer rests on its passages, without asking a model: by words, numbers and names.

A sentence is supported by a passage if every number and every name in it is there, and at least `COVERED` of its other
content words, endings aside. Words of the question count neither way, its numbers do. That is strict about facts and
lax about wording. What it can't see is a sentence that denies what the passage says in the same words: suites say
`not-contains` for that. English; in a language that writes its nouns with capitals each of them counts as a name.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from apps.chat.citing import MARK
from apps.knowledge.search import Hit
from apps.runs.gateway.providers.offline import NO_ANSWER, NO_PASSAGES
from apps.runs.gateway.providers.ranking import STOPWORDS, stem
from apps.runs.gateway.providers.sentences import sentences
from apps.runs.no_answer import OPENING_CHARS, SAYS_NOTHING
from apps.runs.terms import WRITTEN, number
from apps.runs.words import SAME

COVERED = 0.6

# A mark behind a full stop belongs to the sentence that ends there.
BEHIND_STOP = re.compile(rf"([.!?…]+[\"'”’»)]*)((?:\s*{MARK.pattern})+)")
HELD = re.compile("\\s*\ue000([\\d, ]+)\ue001")  # a mark, kept from everything that reads brackets
NUMBER = re.compile(r"(\d+(?:[.,:]\d+)*)(?:st|nd|rd|th)?")
WORD = re.compile(rf"{NUMBER.pattern}|[^\W\d_]+(?:['’][^\W\d_]+)?")
IN_WORDS = re.compile(rf"(?!one\b)(?:{WRITTEN.pattern})", re.IGNORECASE)
GLUE = STOPWORDS | set(
    "yes no not also however therefore according accordingly passage document say state mention".split()
)
EMPTY_NOTHING = re.compile(r"\s*(?:in|about|on|there|here|that)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence of an answer that claims something, and the numbers of the passages it marks."""

    text: str
    marks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Words:
    """What a text holds: numbers as digits, names and other content words as stems."""

    numbers: frozenset[str]
    names: frozenset[str]
    others: frozenset[str]

    @property
    def all(self) -> frozenset[str]:
        return self.names | self.others


def score_answer(question: str, text: str, passages: Sequence[Hit], cited: Mapping[int, Hit]) -> dict[str, float]:
    """Scores from 0 to 1 of an answer that was given `passages`, numbered from 1, and marks those `cited`.

    grounded: the share of its statements that a cited passage supports, or those they mark together.
    citation_precision: the share of its marks that point at a passage which supports the sentence they follow.
    refused: 1 if it says that the documents hold no answer. cited: 1 if it cites anything.
    An answer without statements, such as a refusal, has none that lacks support: 1 for both of the first.
    """
    refuses = is_refusal(text, cited, question, passages)
    said = [] if refuses else statements(text)
    sources = {place: words_of_hit(hit) for place, hit in enumerate(passages, start=1)}
    asked = words(question)
    supported = [is_supported(statement, sources, cited, asked) for statement in said]
    marks = [is_precise(mark, statement, sources, asked) for statement in said for mark in statement.marks]
    return {
        "grounded": share(supported) if said else 1.0,
        "citation_precision": share(marks) if said else 1.0,
        "refused": float(refuses),
        "cited": float(bool(cited)),
    }


def share(verdicts: Sequence[bool]) -> float:
    return sum(verdicts) / len(verdicts) if verdicts else 0.0


def is_refusal(text: str, cited: Mapping[int, Hit], question: str = "", passages: Sequence[Hit] = ()) -> bool:
    """Whether it says that the documents don't hold the answer, cites nothing, and gives none all the same.

    A number that neither the question nor a passage has is one: "They don't say how tall it is. It is 5,895 m tall."
    """
    if cited or not text.strip():
        return False
    if text.strip() in (NO_ANSWER, NO_PASSAGES):
        return True
    known = words(question).numbers.union(*(words_of_hit(hit).numbers for hit in passages))
    invents = any(words(statement.text).numbers - known for statement in statements(text))
    return denies(text.replace("’", "'").strip()[:OPENING_CHARS]) and not invents


def denies(text: str) -> bool:
    """Whether it says that something isn't known. "Nothing" alone, as in "Acme pays nothing", doesn't."""
    return any(
        found[0].lower() != "nothing" or EMPTY_NOTHING.match(text, found.end()) for found in SAYS_NOTHING.finditer(text)
    )


def statements(text: str) -> list[Statement]:
    """The sentences, items and rows that claim something: no headings, questions, lead-ins, or plain denials."""
    held = MARK.sub(" \ue000\\1\ue001", BEHIND_STOP.sub(r"\2\1", text))
    found = []
    for sentence in sentences(held):
        marks = tuple(int(mark) for group in HELD.findall(sentence.text) for mark in group.split(","))
        said = " ".join(HELD.sub("", sentence.text).split())
        claims = said and not said.endswith((":", "?")) and (words(said).all or words(said).numbers)
        if claims and (marks or not denies(said.replace("’", "'"))):
            found.append(Statement(said, marks))
        elif marks and found:  # on a line of its own, as behind code
            found[-1] = Statement(found[-1].text, found[-1].marks + marks)
    return found


def is_supported(statement: Statement, sources: Mapping[int, Words], cited: Mapping[int, Hit], asked: Words) -> bool:
    """By a passage that is cited anywhere in the answer, or by those together that the sentence marks itself."""
    wanted = words(statement.text)
    own = [sources[mark] for mark in statement.marks if mark in sources]
    given = [*(sources[mark] for mark in cited if mark in sources), *([together(own)] if len(own) > 1 else [])]
    return any(supports(source, wanted, asked) for source in given)


def is_precise(mark: int, statement: Statement, sources: Mapping[int, Words], asked: Words) -> bool:
    """Whether the marked passage supports the sentence, alone or as one that the others beside it need."""
    wanted = words(statement.text)
    if mark not in sources:
        return False
    if supports(sources[mark], wanted, asked):
        return True
    others = [sources[other] for other in {*statement.marks} - {mark} if other in sources]
    if not others or supports(together(others), wanted, asked):
        return False
    return supports(together([*others, sources[mark]]), wanted, asked)


def supports(source: Words, wanted: Words, asked: Words) -> bool:
    if not wanted.numbers <= source.numbers or not wanted.names <= source.all | asked.all:
        return False
    content = wanted.others - asked.all or wanted.others
    return not content or len(content & source.all) / len(content) >= COVERED


def together(sources: Iterable[Words]) -> Words:
    several = [*sources]
    return Words(*(frozenset().union(*parts) for parts in zip(*map(parts_of, several), strict=True)))


def parts_of(source: Words) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    return source.numbers, source.names, source.others


def words_of_hit(hit: Hit) -> Words:
    """Title and heading say what a passage is about."""
    return words(f"{hit.title}. {hit.heading}. {hit.text}")


@lru_cache(maxsize=2_000)
def words(text: str) -> Words:
    numbers: set[str] = set()
    names: set[str] = set()
    others: set[str] = set()
    end = 0
    text = written_out(text)
    for found in WORD.finditer(text):
        opens = end == 0 or any(mark in text[end : found.start()] for mark in '.!?:“"\n')
        end = found.end()
        if found[1]:
            numbers.add(figure(found[1]))
        elif (word := content(found[0])) is not None:
            (names if found[0][0].isupper() and not opens else others).add(word)
    return Words(frozenset(numbers), frozenset(names), frozenset(others))


def written_out(text: str) -> str:
    """With "twenty-five" as 25. "One" stays: it mostly isn't a number."""
    text = re.sub(r"(?<=ty)-(?=[a-z])", " ", text)
    return IN_WORDS.sub(lambda found: WRITTEN.sub(number, found[0].lower()), text)


def figure(digits: str) -> str:
    """1,200 and 1200, 140.00 and 140 are the same."""
    digits = re.sub(r",(?=\d{3}(?!\d))", "", digits)
    return re.sub(r"\.?0+$", "", digits) if "." in digits and ":" not in digits else digits


def content(word: str) -> str | None:
    """Its stem; None for a word that says nothing."""
    lower = re.split(r"['’]", word.lower())[0]
    lower = SAME.get(lower, lower)
    return None if lower in GLUE or stem(lower) in GLUE or len(lower) < 2 else stem(lower)


def unsupported(question: str, text: str, passages: Sequence[Hit], cited: Mapping[int, Hit]) -> Iterator[str]:
    """The statements that nothing cited supports, for a report."""
    if is_refusal(text, cited, question, passages):
        return
    sources = {place: words_of_hit(hit) for place, hit in enumerate(passages, start=1)}
    for statement in statements(text):
        if not is_supported(statement, sources, cited, words(question)):
            yield statement.text
