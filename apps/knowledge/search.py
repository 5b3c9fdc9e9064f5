"""The passages of a workspace that answer a question: dense and lexical search, their scores fused.

Measured on SQuAD and ClapNQ, fusing scores finds more than either search alone and more than fusing ranks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from django.db import connection
from django.db.models import QuerySet
from pgvector import Vector

from apps.runs.refusals import SwitchedOff
from apps.tenants.context import require_tenant_id
from apps.tenants.models import User

from .embed import embed_query
from .models import Chunk

DENSE_WEIGHT = 0.45
CANDIDATES = 50  # of each search
# How many chunks the signs of their vectors bring to the exact comparison: enough for a recall of .996 at any size.
LEAST_NEAR = 400
NEAR_SHARE = 200
# An HNSW scan brings no more than this many rows. Another statement of the same message, for this search only.
FOLLOW_FAR = f"SET LOCAL hnsw.ef_search = {LEAST_NEAR};"

# The first step never leaves the covering index of this tenant's chunks; in a silo with an HNSW index it follows that.
# Both searches' candidates get their cosine.
FIND = """
WITH hnsw AS (
    SELECT EXISTS (
        SELECT FROM pg_index WHERE indexrelid = to_regclass('chunk_embedding_hnsw') AND indisvalid
    ) AS is_here
), near AS MATERIALIZED (
    (SELECT id FROM knowledge_chunk
    WHERE tenant_id = %(tenant)s AND NOT (SELECT is_here FROM hnsw)
    ORDER BY bits <~> binary_quantize(%(vector)s::vector)::bit(384)
    LIMIT (
        SELECT greatest(%(least)s, sum(chunk_count) / %(share)s) FROM knowledge_document WHERE tenant_id = %(tenant)s
    ))
    UNION ALL
    (SELECT id FROM knowledge_chunk
    WHERE tenant_id = %(tenant)s AND (SELECT is_here FROM hnsw)
    ORDER BY embedding <=> %(vector)s::vector
    LIMIT %(least)s)
), dense AS MATERIALIZED (
    SELECT id, 1 - (embedding <=> %(vector)s::vector) AS cosine
    FROM near JOIN knowledge_chunk USING (id)
    WHERE tenant_id = %(tenant)s
    ORDER BY cosine DESC, id LIMIT %(most)s
), lexical AS MATERIALIZED (
    SELECT chunk_id AS id, rank FROM knowledge_lexical_search(%(query)s, %(most)s)
)
SELECT id, cosine, coalesce(rank, 0) FROM dense LEFT JOIN lexical USING (id)
UNION ALL
SELECT id, 1 - (embedding <=> %(vector)s::vector), rank
FROM lexical JOIN knowledge_chunk USING (id)
WHERE tenant_id = %(tenant)s AND id NOT IN (SELECT id FROM dense)
"""

BY_WORDS = "SELECT chunk_id, 0, rank FROM knowledge_lexical_search(%s, %s)"


@dataclass(slots=True)
class Hit:
    """A passage and why it was found.

    `score` ranks it among the others, at most 1. `dense_score` is the cosine of question and passage, comparable
    between questions; `lexical_score` the share of the best lexical match, 0 if it shares no word with the question.
    """

    chunk_id: UUID
    document_id: UUID
    title: str
    heading: str
    page: int | None
    text: str
    start: int
    end: int
    score: float
    dense_score: float
    lexical_score: float
    url: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    chunk_id: UUID
    cosine: float
    rank: float


def search(query: str, *, limit: int = 8, user: User | None = None, vector: np.ndarray | None = None) -> list[Hit]:
    """The active tenant's passages that fit `query`, best first.

    vector: the query's, if the caller has it; else embedding it leaves a run. Where that is switched off, the passages
        are those that share words with the query.
    """
    try:
        candidates = find(query, embed_query(query, user=user) if vector is None else vector)
    except SwitchedOff:
        candidates = find_by_words(query)
    ranked = fuse(candidates)[:limit]
    found = chunks().in_bulk([candidate.chunk_id for _, candidate, _ in ranked])
    return [
        hit(chunk, score, candidate.cosine, lexical)
        for score, candidate, lexical in ranked
        if (chunk := found.get(candidate.chunk_id))  # gone if its document was deleted between the two queries
    ]


def passages(chunk_ids: Sequence[UUID]) -> list[Hit | None]:
    """The active tenant's passages by their ids, in that order, ranked by nothing; None for one that is gone."""
    found = chunks().in_bulk(list(chunk_ids))
    return [hit(found[chunk_id]) if chunk_id in found else None for chunk_id in chunk_ids]


def chunks() -> QuerySet[Chunk]:
    return Chunk.objects.select_related("document").only(
        *("heading", "page", "text", "start", "end", "document__title", "document__tenant_id")
    )


def hit(chunk: Chunk, score: float = 0, dense: float = 0, lexical: float = 0) -> Hit:
    return Hit(
        chunk_id=chunk.id,
        document_id=chunk.document_id,
        title=chunk.document.title,
        heading=chunk.heading,
        page=chunk.page,
        text=chunk.text,
        start=chunk.start,
        end=chunk.end,
        score=score,
        dense_score=dense,
        lexical_score=lexical,
    )


def find(query: str, vector: np.ndarray) -> list[Candidate]:
    """Up to 50 chunks from each search, each with its cosine and its lexical rank, in no order."""
    with connection.cursor() as cursor:
        cursor.execute(
            FOLLOW_FAR + FIND,
            {
                "tenant": require_tenant_id(),
                "vector": Vector(vector).to_text(),
                "query": query,
                "least": LEAST_NEAR,
                "share": NEAR_SHARE,
                "most": CANDIDATES,
            },
        )
        cursor.nextset()
        return [Candidate(*row) for row in cursor.fetchall()]


def find_by_words(query: str) -> list[Candidate]:
    """What lexical search alone finds; nobody has asked for cosines."""
    with connection.cursor() as cursor:
        cursor.execute(BY_WORDS, [query, CANDIDATES])
        return [Candidate(*row) for row in cursor.fetchall()]


def fuse(candidates: Sequence[Candidate]) -> list[tuple[float, Candidate, float]]:
    """Candidates with their fused score and their share of the best lexical rank, best first.

    The cosines of one query lie close together, so they are stretched from that of the last dense candidate, 0, to the
    best, 1. What lexical search alone found may lie below the last, and counts as 0.
    """
    if not candidates:
        return []
    cosines = sorted((candidate.cosine for candidate in candidates), reverse=True)[:CANDIDATES]
    best, floor = cosines[0], cosines[-1]
    best_rank = max(candidate.rank for candidate in candidates) or 1.0
    scored = []
    for candidate in candidates:
        dense = max(0.0, (candidate.cosine - floor) / (best - floor)) if best > floor else 1.0
        lexical = candidate.rank / best_rank
        scored.append((DENSE_WEIGHT * dense + (1 - DENSE_WEIGHT) * lexical, candidate, lexical))
    return sorted(scored, key=lambda each: (-each[0], each[1].chunk_id))
