"""Answers that are given again: which question may have one, and what it was written from."""

from uuid import UUID

import numpy as np

from apps.knowledge.revision import revision
from apps.knowledge.search import Hit, passages
from apps.runs.answers import CacheQuery
from apps.runs.models import Run
from apps.runs.terms import stands_alone

from .citing import cited


def cache_query(
    question: str, vector: np.ndarray | None, hits: list[Hit], *, is_first: bool, knowledge: str
) -> CacheQuery | None:
    """What the cache is asked, and keeps beside the answer; None for a question that doesn't stand alone.

    knowledge: what `knows` said before the search.
    """
    if vector is None or not is_first or not stands_alone(question):
        return None
    chunk_ids = [hit.chunk_id for hit in hits]
    return CacheQuery(
        question,
        vector,
        knowledge,
        context={"chunks": [str(chunk_id) for chunk_id in chunk_ids]},
        is_current=lambda: knowledge.partition("\n")[0] == revision(),
        # A document that came and went while the search went on leaves the knowledge as it was.
        still_holds=lambda answer: bool(cited(answer, hits)) and all(passages(chunk_ids)),
    )


def knows(workspace_name: str, limit: int) -> str:
    """What answers in the active workspace are made from, beside the prompt and the models."""
    return f"{revision()}\n{limit}\n{workspace_name}"


def written_from(run: Run) -> list[Hit | None]:
    """The passages of a cached answer by their numbers, from 1; None for one that was removed this moment."""
    return passages([UUID(chunk_id) for chunk_id in (run.context or {}).get("chunks", [])])
