"""Heading lookup: each section title that occurs once in a real handbook, as a query for the passages under it."""

from collections import Counter
from pathlib import Path
from uuid import UUID

from .corpus import ingest_all
from .ranks import IsHit, measure_search


def read(data: Path) -> list[Path]:
    pages = sorted((data / "handbook").glob("*.md"))
    if not pages:
        print(f"skipped the handbook: there are no pages in {data / 'handbook'}")
    return pages


def measure(pages: list[Path]) -> None:
    from apps.knowledge.models import Chunk

    print(f"\nHandbook: {len(pages)} pages")
    ingest_all([(page.name, page.read_bytes()) for page in pages])
    sections = {chunk.id: (chunk.document_id, chunk.heading) for chunk in Chunk.objects.only("document_id", "heading")}
    occurrences = Counter(last_title(section) for section in set(sections.values()))
    once = sorted(section for section in set(sections.values()) if occurrences[last_title(section)] == 1)

    def under(section: tuple[UUID, str]) -> IsHit:
        return lambda chunk_id: sections[chunk_id] == section

    print(f"  heading lookup: {len(once)} titles that occur once")
    measure_search([(last_title(section), under(section)) for section in once])


def last_title(section: tuple[UUID, str]) -> str:
    return section[1].rpartition(" > ")[2]
