"""R@5 and MRR@10 of each search and of both fused, and how long search takes."""

import time
from collections.abc import Callable, Sequence
from statistics import mean, quantiles
from uuid import UUID

from .corpus import Progress

DEPTH = 10
IsHit = Callable[[UUID], bool]


def measure_search(questions: Sequence[tuple[str, IsHit]]) -> None:
    """Print them for the active workspace. A question comes with what tells whether a passage is a hit, by its id."""
    from apps.knowledge.embed import embed_query
    from apps.knowledge.search import find, fuse, search

    ranks: dict[str, list[int | None]] = {"dense": [], "lexical": [], "fused": []}
    took_ms = []
    progress = Progress("searching", len(questions))
    for query, is_hit in questions:
        candidates = find(query, embed_query(query, user=None))
        dense = sorted(candidates, key=lambda each: -each.cosine)
        lexical = sorted((each for each in candidates if each.rank), key=lambda each: -each.rank)
        fused = [candidate for _, candidate, _ in fuse(candidates)]
        for name, ranking in (("dense", dense), ("lexical", lexical), ("fused", fused)):
            hits = (place for place, each in enumerate(ranking[:DEPTH], 1) if is_hit(each.chunk_id))
            ranks[name].append(next(hits, None))
        began = time.monotonic()
        search(query)
        took_ms.append((time.monotonic() - began) * 1000)
        progress.step()

    print("              R@5   MRR@10")
    for name, found in ranks.items():
        recall = mean(rank is not None and rank <= 5 for rank in found)
        reciprocal = mean(1 / rank if rank else 0 for rank in found)
        print(f"  {name:9} {recall:6.3f}   {reciprocal:6.3f}")
    cuts = quantiles(took_ms, n=20)
    print(f"  search: p50 {cuts[9]:.1f} ms, p95 {cuts[18]:.1f} ms")
