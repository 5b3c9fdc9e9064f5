"""Rates the answer above by the criteria that the prompt gives."""

import re
from collections.abc import Sequence
from enum import Enum
from itertools import pairwise

from apps.runs.gateway.providers.base import Embedder
from apps.runs.gateway.providers.sentences import sentences
from apps.runs.gateway.types import Passage
from apps.runs.terms import terms

from ..scoring import denies as refuses
from .as_json import as_object, field_of
from .finding import Part, find
from .orders import RATING
from .reading import Conversation
from .rules import Rule, followed

LEVEL = re.compile(r"^\s*[-*]\s+(\d+(?:\.\d+)?)\s*[:–-]\s+(.+)$", re.MULTILINE)
MARK = re.compile(r"\s*\[\d+(?:, ?\d+)*\]")
SUPPORTED_FROM = 0.55  # cosine of a statement and the sentence of a passage that it rests on
ANSWERS_PART_FROM = 0.4  # cosine of a part of the question and a statement about it


class State(Enum):
    """What an answer is, with the words by which a criterion speaks of that."""

    RIGHT = r"every|each|all\b|fully|right and complete"
    PARTLY = r"part|some\b|guess|incomplete|half"
    WRONG = r"wrong|made up|invented|false|unsupported|incorrect"
    DODGES = r"dodg|evad|avoid|refus|declin"


def rate(conversation: Conversation, embedder: Embedder) -> str:
    rules = followed(conversation.instruction)
    value = ordered(conversation, rules)
    if value is None:
        value = value_of(state_of(conversation, rules, embedder), conversation.instruction)
    field = field_of(conversation.instruction)
    return as_object({field: value}, rules, in_words=f"I would say about {value:g} of what was possible.")


def ordered(conversation: Conversation, rules: frozenset[Rule]) -> float | None:
    """The rating that the answer or a passage demands, if nothing says that they may not."""
    if Rule.DATA in rules:
        return None
    is_data = Rule.DATA in followed(conversation.system)
    texts = [conversation.answer, *(passage.text for passage in conversation.passages if not is_data)]
    return next((float(found[1]) for text in texts if (found := RATING.search(text))), None)


def value_of(state: State, instruction: str) -> float:
    """The number of the criterion that speaks of this state; the best one, where none does."""
    levels = [(float(number), text) for number, text in LEVEL.findall(instruction)]
    fitting = [number for number, text in levels if re.search(rf"\b(?:{state.value})", text, re.IGNORECASE)]
    if state is State.RIGHT or not fitting:
        return max((number for number, _ in levels), default=1.0)
    return min(fitting)


def state_of(conversation: Conversation, rules: frozenset[Rule], embedder: Embedder) -> State:
    passages = conversation.passages
    parts = find(conversation.question, passages, embedder)
    said = [each.text for each in sentences(MARK.sub("", conversation.answer))]
    rests = {each: supported(each, passages, embedder) for each in said}
    made = [each for each in said if not refuses(each.replace("’", "'"))]
    if not made:  # nothing but a refusal
        if any(part.is_held for part in parts):
            return State.DODGES
        return State.RIGHT if Rule.REFUSAL_IS_RIGHT in rules else State.WRONG
    held = [rests[each] or Rule.SUPPORT not in rules for each in made]
    if not any(held):
        return State.WRONG
    is_complete = Rule.COMPLETE not in rules or all(is_answered(part, made, embedder) for part in parts)
    return State.RIGHT if all(held) and is_complete else State.PARTLY


def supported(statement: str, passages: Sequence[Passage], embedder: Embedder) -> bool:
    """Whether a sentence of the passages says this, or two together: near in meaning, with its numbers, and denying
    something if it does."""
    said = [text for passage in passages for text in alone_and_in_pairs(passage)]
    if not said:
        return False
    vectors = embedder.embed([statement, *said]).vectors
    cosines = vectors[1:] @ vectors[0]
    wanted = set(figures(statement))
    return any(
        cosine >= SUPPORTED_FROM and wanted <= set(figures(text)) and denies(statement) == denies(text)
        for cosine, text in zip(cosines, said, strict=True)
    )


def alone_and_in_pairs(passage: Passage) -> list[str]:
    texts = [each.text for each in sentences(passage.text)]
    return texts + [f"{first} {second}" for first, second in pairwise(texts)]


def figures(text: str) -> list[str]:
    return [term.strip("^") for term in terms(text) if any(character.isdigit() for character in term)]


def denies(text: str) -> bool:
    return not {"not", "no", "never", "nobody", "nothing", "without", "none"}.isdisjoint(terms(text))


def is_answered(part: Part, made: Sequence[str], embedder: Embedder) -> bool:
    """A part that the passages don't hold needs no statement here: who says so instead is right."""
    if not part.is_held:
        return True
    vectors = embedder.embed([part.asked, *made]).vectors
    return float((vectors[1:] @ vectors[0]).max()) >= ANSWERS_PART_FROM
