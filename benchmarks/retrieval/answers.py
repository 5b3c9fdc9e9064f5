"""What the offline answerer makes of the passages that are found: right sentences, right passages, rightly refused."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import mean
from typing import Any
from uuid import UUID

import numpy as np

from .corpus import Progress
from .ranks import IsHit

PASSAGES = 6  # that a workspace gives its answers
SHARES_KEPT = (0.99, 0.98, 0.97, 0.96, 0.95, 0.94, 0.92, 0.90)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, what tells whether a sentence answers it, and what tells whether a passage does, by its id."""

    question: str
    is_answer: Callable[[str], bool]
    is_hit: IsHit


@dataclass(frozen=True, slots=True)
class Read:
    """What the answerer saw: its sentences, best first, where they are from, and how well they fit."""

    sentences: list[str]
    chunk_ids: list[UUID]
    closest: float
    coverage: float
    fit: float


class Remembering:
    """The embedder, asked once for each text: questions about the same articles read the same sentences."""

    def __init__(self) -> None:
        from apps.runs.chain import embedder

        self.embedder = embedder()
        self.model = self.embedder.model
        self.vectors: dict[str, np.ndarray] = {}

    def embed(self, texts: Sequence[str]) -> Any:
        from apps.runs.gateway.types import Embeddings, Usage

        new = [text for text in dict.fromkeys(texts) if text not in self.vectors]
        self.vectors.update(zip(new, self.embedder.embed(new).vectors, strict=True))
        return Embeddings(np.array([self.vectors[text] for text in texts]), self.model, Usage(0, 0))


remembering = cache(Remembering)


def read(what: str, questions: Sequence[str]) -> list[Read]:
    """Each question, searched for in the active workspace and answered from what was found."""
    from apps.knowledge.search import search
    from apps.runs.gateway.providers.ranking import coverage, fit, rank
    from apps.runs.gateway.types import Passage

    found, progress = [], Progress(what, len(questions))
    for question in questions:
        hits = search(question, limit=PASSAGES)
        passages = [
            Passage(number, hit.title, hit.heading, hit.text, hit.score, hit.lexical_score)
            for number, hit in enumerate(hits, 1)
        ]
        ranked = rank(question, passages, remembering())
        found.append(
            Read(
                sentences=[each.sentence.text for each in ranked[:3]],
                chunk_ids=[hits[each.passage.number - 1].chunk_id for each in ranked[:3]],
                closest=max((each.cosine for each in ranked), default=0.0),
                coverage=coverage(question, ranked[0].passage) if ranked else 0.0,
                fit=fit(question, ranked),
            )
        )
        progress.step()
    return found


def measure_answers(asked: Sequence[Asked]) -> list[Read]:
    """Print how often the best sentences hold the answer, and return what was read."""
    found = read("answering", [each.question for each in asked])
    holds = [[each.is_answer(text) for text in seen.sentences] for each, seen in zip(asked, found, strict=True)]
    cited = [bool(seen.chunk_ids) and each.is_hit(seen.chunk_ids[0]) for each, seen in zip(asked, found, strict=True)]
    print(
        f"  offline answers: best sentence {mean(any(each[:1]) for each in holds):.3f}, "
        f"in the best three {mean(map(any, holds)):.3f}, right passage cited {mean(cited):.3f}"
    )
    return found


def tell_refusals(kept: Sequence[Read], refused: dict[str, Sequence[Read]]) -> None:
    """Print the share of answerable questions that are kept and of the others that are refused, from the threshold in
    use and from those that keep other shares."""
    from apps.runs.gateway.providers.offline import ANSWERS_FROM_FIT

    fits = np.array([each.fit for each in kept])
    thresholds = [
        (ANSWERS_FROM_FIT, "  in use"),
        *((float(np.quantile(fits, 1 - share, method="lower")), "") for share in SHARES_KEPT),
    ]
    columns = {
        f"{name} ({len(group)})": np.array([each.fit for each in group]) for name, group in refused.items() if group
    }
    print(f"  refused at the share kept:  fit    kept   {'   '.join(columns)}")
    for threshold, mark in sorted(thresholds):
        shares = "   ".join(f"{(values < threshold).mean():{len(name)}.3f}" for name, values in columns.items())
        print(f"                             {threshold:.3f}  {(fits >= threshold).mean():.3f}  {shares}{mark}")
