"""What a workspace really answered on a day: a sample of it, and what that is worth without asking a model.

Needs Django, and the workspace's context. That it consented is the caller's to check. Out come numbers, no texts.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Prefetch

from apps.chat.models import Citation, Message
from apps.chat.quality.metrics import MOST_SAMPLED
from apps.knowledge.search import Hit
from apps.runs.models import Run

from .scoring import score_answer

MOST_RATINGS = 500
AT_ONCE = 50
STRATA = ("run__feature", "run__prompt_version_id", "run__experiment_arm_id")

Values = dict[str, list[float]]
"""By metric of `apps.chat.quality.metrics`."""


@dataclass(frozen=True, slots=True)
class Day:
    """How many answers there were, how many were looked at, and what each of those is worth."""

    answers: int
    sampled: int
    values: Values = field(default_factory=dict)


def measure(day: date, *, most: int = MOST_SAMPLED) -> Day:
    """`day` is one of UTC; the same one gives the same sample."""
    begins = datetime.combine(day, time(), UTC)
    within = (begins, begins + timedelta(days=1) - timedelta(microseconds=1))
    answers = Message.objects.filter(
        role=Message.Role.ASSISTANT, status=Message.Status.OK, created_at__range=within, run__status=Run.Status.OK
    ).exclude(text="")
    of_kind = {id: tuple(kind) for id, *kind in answers.values_list("id", *STRATA)}
    chosen = sample(of_kind, most=most, seed=f"{day}")
    values: Values = defaultdict(list)
    for start in range(0, len(chosen), AT_ONCE):
        for message in with_sources(chosen[start : start + AT_ONCE]):
            for metric, value in score(message).items():
                values[metric].append(value)
    rated = Run.objects.filter(created_at__range=within, rating__isnull=False).order_by("-created_at")
    if ratings := rated.values_list("rating", flat=True)[:MOST_RATINGS]:
        values["thumbs_up"] = [float(rating > 0) for rating in ratings]
    return Day(len(of_kind), len(chosen), dict(values))


def sample(of_kind: dict[UUID, Any], *, most: int, seed: str) -> list[UUID]:
    """At most so many of the ids, from each kind as many as its share, by chance that is the same for the same seed."""

    def lot(id: UUID) -> bytes:
        return hashlib.sha256(f"{seed} {id}".encode()).digest()

    kinds: dict[Any, list[UUID]] = defaultdict(list)
    for id, kind in of_kind.items():
        kinds[kind].append(id)
    placed = [
        ((place + 0.5) / len(ids), lot(id), id)
        for ids in kinds.values()
        for place, id in enumerate(sorted(ids, key=lot))
    ]
    return [id for _, _, id in sorted(placed)[:most]]


def with_sources(ids: Sequence[UUID]) -> Iterable[Message]:
    citations = Citation.objects.select_related("document").defer("document__text", "document__page_starts")
    found = Message.objects.filter(pk__in=ids).select_related("run", "in_reply_to")
    return found.prefetch_related(Prefetch("citations", queryset=citations))


def score(message: Message) -> dict[str, float]:
    """By metric. What it took isn't counted of an answer that was given before."""
    cited = {citation.number: hit_of(citation) for citation in message.citations.all()}
    # Only what was cited is kept of what the model was given; the others' places stay empty.
    passages = [cited.get(number, NOT_KEPT) for number in range(1, max(cited, default=0) + 1)]
    question = message.in_reply_to.text if message.in_reply_to else ""
    scores = score_answer(question, message.text, passages, cited)
    found = {metric: scores[metric] for metric in ("grounded", "citation_precision", "refused")}
    run = message.run
    if run and not run.is_cached:
        if run.latency_ms is not None:
            found["latency"] = run.latency_ms / 1000
        if run.cost_usd is not None:
            found["cost"] = float(run.cost_usd)
    return found


def hit_of(citation: Citation) -> Hit:
    """As search found it, as far as that is kept."""
    return hit(citation.document.title, citation.heading, citation.quote)


def hit(title: str = "", heading: str = "", text: str = "") -> Hit:
    place = {"chunk_id": NOWHERE, "document_id": NOWHERE, "page": None, "start": 0, "end": len(text)}
    return Hit(title=title, heading=heading, text=text, **place, score=0.0, dense_score=0.0, lexical_score=0.0)


NOWHERE = UUID(int=0)
NOT_KEPT = hit()
