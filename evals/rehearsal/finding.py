"""What the passages say to a question: the offline answerer's ranking, over the parts of what is asked."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from apps.runs.gateway.providers.base import Embedder
from apps.runs.gateway.providers.ranking import Ranked, rank
from apps.runs.gateway.types import Embeddings, Passage, Usage

from .orders import orders_in
from .speaking import language_of

NEXT_PART = re.compile(
    r"[,;?]?\s+(?:and|und|et)\s+(?=(?:how|what|when|where|who|whom|which|why|may|do|does|is|are|can|must|wie|was|wann|wo|wer"
    r"|welche[rsn]?|quand|combien|qui|où|quel(?:le)?s?)\b)|\?\s+(?=\w)",
    re.IGNORECASE,
)
NAME = re.compile(r"(?<!^)(?<![.!?:] )\b[A-Z][\w-]{2,}")
HELD_FROM_COSINE = 0.43  # a little lenient: what is tried is the prompt, not the search
LATER = 0.35  # a sentence that scores this much less than the best is about something else
COMMON_NAMES = {
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "english",
    "german",
    "french",
}


class Remembering:
    """An embedder that looks at each text once. A vector depends on its text only."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self.vectors: dict[str, np.ndarray] = {}

    @property
    def model(self) -> str:
        return self.embedder.model

    def embed(self, texts: Sequence[str]) -> Embeddings:
        if unseen := [text for text in dict.fromkeys(texts) if text not in self.vectors]:
            self.vectors |= dict(zip(unseen, self.embedder.embed(unseen).vectors, strict=True))
        vectors = np.stack([self.vectors[text] for text in texts])
        return Embeddings(vectors, self.model, Usage(0, 0))


@dataclass(frozen=True, slots=True)
class Part:
    """One of the things that are asked, with the sentences that fit it, best first. `is_held`: they answer it."""

    asked: str
    ranked: tuple[Ranked, ...]
    is_held: bool


def parts_of(question: str) -> list[str]:
    return [part.strip(" ?,;") + "?" for part in NEXT_PART.split(question) if part.strip(" ?,;")]


def find(question: str, passages: Sequence[Passage], embedder: Embedder) -> list[Part]:
    """Orders to whoever answers are nothing that a passage says to a question."""
    found = []
    for asked in parts_of(question):
        ranked = [each for each in rank(asked, passages, embedder) if not orders_in(each.sentence.text)]
        is_near = bool(ranked) and ranked[0].cosine >= HELD_FROM_COSINE
        found.append(Part(asked, tuple(ranked), is_near and not unknown_names(asked, passages)))
    return found


def unknown_names(question: str, passages: Sequence[Passage]) -> set[str]:
    """Names in the question that no passage knows. German writes every noun with a capital: there one must be known."""
    known = " ".join(f"{passage.heading} {passage.text}" for passage in passages).casefold()
    named = {name.casefold() for name in NAME.findall(question)} - COMMON_NAMES
    unknown = {name for name in named if name not in known}
    return set() if language_of(question) == "de" and unknown < named else unknown
