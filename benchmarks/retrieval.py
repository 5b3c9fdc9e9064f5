"""Recall, rank and speed of search and ingestion, through the code that a workspace uses.

    python -m benchmarks.retrieval DATA

DATA holds what is measured on; what is absent is said and skipped:

    rag/squad24.json          articles, questions with the place of their answers
    rag/clapnq_*_a.jsonl      questions about other things, which must be refused
    handbook/*.md             pages whose section titles are looked up

A hit is a passage that contains the answer's place in full. R@5: the share of questions with a hit among the first
five passages. MRR@10: the mean of 1/rank of the first hit, 0 beyond the tenth.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import mean, quantiles
from typing import Any
from uuid import UUID

from benchmarks.stage import stage, workspace

DEPTH = 10
Question = dict[str, Any]


def main(data: Path) -> None:
    if not data.is_dir():
        sys.exit(f"{data} is not a folder. Name the one that holds rag/ and handbook/.")
    squad, pages = data / "rag" / "squad24.json", sorted((data / "handbook").glob("*.md"))
    with stage():
        if squad.is_file():
            with workspace("squad"):
                measure_squad(json.loads(squad.read_text()), others=other_questions(data / "rag"))
        else:
            print(f"skipped SQuAD: there is no {squad}")
        if pages:
            with workspace("handbook"):
                measure_handbook(pages)
        else:
            print(f"skipped the handbook: there are no pages in {data / 'handbook'}")


def measure_squad(squad: dict[str, Any], *, others: list[str]) -> None:
    from apps.knowledge.models import Chunk

    print(f"SQuAD: {len(squad['docs'])} articles, {len(squad['questions'])} questions")
    files = [(f"{name}.txt", article["text"].encode()) for name, article in squad["docs"].items()]
    documents = dict(zip(squad["docs"], ingest_all(files), strict=True))
    for name, document in documents.items():
        if document.text != squad["docs"][name]["text"]:
            sys.exit(f"{name}: the text changed in parsing, so the places of the answers are no longer known.")

    chunks = {chunk.id: chunk for chunk in Chunk.objects.only("document_id", "start", "end")}

    def is_hit(question: Question) -> Callable[[UUID], bool]:
        document, start = documents[question["doc"]], question["doc_start"]
        end = start + len(question["answer"])

        def contains(chunk_id: UUID) -> bool:
            chunk = chunks[chunk_id]
            return chunk.document_id == document.id and chunk.start <= start and end <= chunk.end

        return contains

    measure_search([(question["question"], is_hit(question)) for question in squad["questions"]])
    measure_answers(squad["questions"], is_hit, others)


def measure_handbook(pages: list[Path]) -> None:
    """Heading lookup: each section title that occurs once in the handbook, as a query for the passages under it."""
    from apps.knowledge.models import Chunk

    print(f"\nHandbook: {len(pages)} pages")
    ingest_all((page.name, page.read_bytes()) for page in pages)
    sections = {chunk.id: (chunk.document_id, chunk.heading) for chunk in Chunk.objects.only("document_id", "heading")}
    occurrences = Counter(last_title(section) for section in set(sections.values()))
    once = sorted(section for section in set(sections.values()) if occurrences[last_title(section)] == 1)

    def under(section: tuple[UUID, str]) -> Callable[[UUID], bool]:
        return lambda chunk_id: sections[chunk_id] == section

    print(f"  heading lookup: {len(once)} titles that occur once")
    measure_search([(last_title(section), under(section)) for section in once])


def last_title(section: tuple[UUID, str]) -> str:
    return section[1].rpartition(" > ")[2]


def ingest_all(files: Iterable[tuple[str, bytes]]) -> list[Any]:
    """Store and ingest each file as an upload would be, and print how fast that was."""
    from django.core.files.base import ContentFile

    from apps.knowledge.add import Notice, store
    from apps.knowledge.ingest import ingest
    from apps.knowledge.models import Document

    began, documents = time.monotonic(), []
    for name, content in files:
        stored = store(ContentFile(content, name=name), user=None)
        if isinstance(stored, Notice):
            print(f"  left out {name}: {stored.text}")
            continue
        ingest(stored.id)
        documents.append(Document.objects.get(pk=stored.pk))
    took_s = time.monotonic() - began
    for document in documents:
        if document.status != Document.Status.READY:
            print(f"  failed {document.filename}: {document.error_message}")
    texts = sum(document.chunk_count for document in documents)
    print(f"  ingested {len(documents)} files, {texts} passages in {took_s:.1f} s: {texts / took_s:.0f} texts/s")
    return documents


def measure_search(questions: Sequence[tuple[str, Callable[[UUID], bool]]]) -> None:
    """Print R@5 and MRR@10 of each search and of both fused, and how long search takes."""
    from apps.knowledge.embed import embed_query
    from apps.knowledge.search import find, fuse, search

    ranks: dict[str, list[int | None]] = {"dense": [], "lexical": [], "fused": []}
    took_ms = []
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

    print("              R@5   MRR@10")
    for name, found in ranks.items():
        recall = mean(rank is not None and rank <= 5 for rank in found)
        reciprocal = mean(1 / rank if rank else 0 for rank in found)
        print(f"  {name:9} {recall:6.3f}   {reciprocal:6.3f}")
    cuts = quantiles(took_ms, n=20)
    print(f"  search: p50 {cuts[9]:.1f} ms, p95 {cuts[18]:.1f} ms")


def measure_answers(
    questions: Sequence[Question], is_hit: Callable[[Question], Callable[[UUID], bool]], others: list[str]
) -> None:
    """Print how often the offline answerer's best sentences hold the answer, and how often it rightly refuses."""
    from apps.knowledge.search import search
    from apps.runs.chain import embedder
    from apps.runs.gateway.providers import offline
    from apps.runs.gateway.providers.ranking import Ranked, rank
    from apps.runs.gateway.types import Passage

    def ranked(question: str) -> tuple[list[Ranked], list[UUID]]:
        hits = search(question, limit=5)
        passages = [
            Passage(number, hit.title, hit.heading, hit.text, hit.score, hit.lexical_score)
            for number, hit in enumerate(hits, 1)
        ]
        return rank(question, passages, embedder()), [hit.chunk_id for hit in hits]

    first, third, cited, kept = [], [], [], []
    for question in questions:
        best, chunk_ids = ranked(question["question"])
        holds = [question["answer"] in each.sentence.text for each in best[:3]]
        first.append(any(holds[:1]))
        third.append(any(holds))
        cited.append(bool(best) and is_hit(question)(chunk_ids[best[0].passage.number - 1]))
        kept.append(bool(best) and best[0].cosine >= offline.ANSWERS_FROM_COSINE)
    print(
        f"  offline answers: best sentence {mean(first):.3f}, in the best three {mean(third):.3f}, "
        f"right passage cited {mean(cited):.3f}, answerable kept {mean(kept):.3f}"
    )
    if not others:
        print("  skipped refusals: there are no rag/clapnq_*_a.jsonl")
        return
    refused = []
    for question in others:
        best, _ = ranked(question)
        refused.append(not best or best[0].cosine < offline.ANSWERS_FROM_COSINE)
    print(f"  {len(others)} questions about other things: {mean(refused):.3f} refused")


def other_questions(folder: Path) -> list[str]:
    def read() -> Iterator[str]:
        for path in sorted(folder.glob("clapnq_*_a.jsonl")):
            for line in path.read_text().splitlines():
                yield json.loads(line)["input"]

    return list(read())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Name the folder with the questions: python -m benchmarks.retrieval DATA")
    main(Path(sys.argv[1]))
