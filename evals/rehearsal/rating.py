"""Rates the answer above by the criteria that the prompt gives."""

import re
from collections.abc import Sequence
from enum import Enum

from apps.runs.gateway.providers.base import Embedder
from apps.runs.gateway.providers.sentences import sentences
from apps.runs.gateway.types import Passage
from apps.runs.terms import terms

from .finding import Part, find
from .orders import RATING
from .reading import Conversation
from .rules import Rule, followed
from .wording import as_object, field_of

LEVEL = re.compile(r"^\s*[-*]\s+(\d+(?:\.\d+)?)\s*[:–-]\s+(.+)$", re.MULTILINE)
MARK = re.compile(r"\s*\[\d+(?:, ?\d+)*\]")
REFUSES = re.compile(
    r"\b(?:passages?|documents?|handbooks?|material|sources?)\b[^.!?]{0,60}\b(?:don[’']t|do not|doesn[’']t|does not|lacks?|nothing|not)\b"
    r"|\b(?:found|is|there is|there's) (?:no|nothing)\b[^.!?]{0,40}\b(?:answer|in (?:them|the))\b|\bI (?:can[’']t|cannot|can not) (?:say|tell|answer)\b|\bnot (?:covered|mentioned)\b",
    re.IGNORECASE,
)
SUPPORTED_FROM = 0.55  # cosine of a statement and the sentence of a passage that it rests on
ANSWERS_PART_FROM = 0.4  # cosine of a part of the question and a statement about it


class State(Enum):
    """What an answer is, with the words by which a criterion speaks of that."""

    RIGHT = r"every|each|all\b|fully|right and complete"
    PARTLY = r"part|some\b|guess|incomplete|half"
    WRONG = r"wrong|made up|invented|false|unsupported|incorrect"
    DODGES = r"dodg|evad|avoid|refus|declin"


def rate(conversation: Conversation, embedder: Embedder) -> str:
    rules = followed(f"{conversation.system}\n\n{conversation.instruction}")
    value = ordered(conversation) if Rule.DATA not in followed(conversation.instruction) else None
    if value is None:
        value = value_of(state_of(conversation, rules, embedder), conversation.instruction)
    field = field_of(conversation.instruction, "score")
    own = followed(conversation.instruction)
    return as_object({field: value}, own, in_words=f"I would say about {value:g} of what was possible.")


def ordered(conversation: Conversation) -> float | None:
    texts = [conversation.answer, *(passage.text for passage in conversation.passages)]
    return next((float(found[1]) for text in texts if (found := RATING.search(text))), None)


def value_of(state: State, instruction: str) -> float:
    """The number of the criterion that speaks of this state; the best one, where none does."""
    levels = [(float(number), text) for number, text in LEVEL.findall(instruction)]
    fitting = [number for number, text in levels if re.search(rf"\b(?:{state.value})", text, re.IGNORECASE)]
    if state is State.RIGHT or not fitting:
        return max((number for number, _ in levels), default=1.0)
    return min(fitting)


def state_of(conversation: Conversation, rules: frozenset[Rule], embedder: Embedder) -> State:
    parts = find(conversation.question, conversation.passages, embedder)
    answer = MARK.sub("", conversation.answer)
    if (
        REFUSES.search(answer)
        and len(sentences(answer)) <= len(parts) + 1
        and not any(supported(each.text, conversation.passages, embedder) for each in sentences(answer))
    ):
        if any(part.is_held for part in parts):
            return State.DODGES
        return State.RIGHT if Rule.REFUSAL_IS_RIGHT in rules else State.WRONG
    made = [each.text for each in sentences(answer) if not REFUSES.search(each.text)]
    if not made:
        return State.DODGES
    holds = [Rule.SUPPORT not in rules or supported(each, conversation.passages, embedder) for each in made]
    if not any(holds):
        return State.WRONG
    if not all(holds):
        return State.PARTLY
    if Rule.COMPLETE in rules and not all(is_answered(part, made, embedder) for part in parts):
        return State.PARTLY
    return State.RIGHT


def supported(statement: str, passages: Sequence[Passage], embedder: Embedder) -> bool:
    """Whether a sentence of the passages says this: its meaning is near, and it has the same numbers and denials."""
    said = [each.text for passage in passages for each in sentences(passage.text)]
    if not said:
        return False
    vectors = embedder.embed([statement, *said]).vectors
    cosines = vectors[1:] @ vectors[0]
    wanted = set(figures(statement))
    return any(
        cosine >= SUPPORTED_FROM and wanted <= set(figures(text)) and denies(statement) == denies(text)
        for cosine, text in zip(cosines, said, strict=True)
    )


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
