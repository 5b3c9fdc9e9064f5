"""A document's text cut where its pages begin and where a passage is marked."""

from dataclasses import dataclass

from .models import Chunk, Document


@dataclass(frozen=True, slots=True)
class Segment:
    """`page` is set on the first segment of a page."""

    text: str
    is_highlight: bool
    page: int | None


def segments(document: Document, passage: Chunk | None) -> list[Segment]:
    pages = {start: number for number, start in enumerate(document.page_starts, start=1)}
    cuts = {0, len(document.text), *pages}
    if passage:
        cuts |= {passage.start, passage.end}
    edges = sorted(cut for cut in cuts if cut <= len(document.text))
    return [
        Segment(
            text=document.text[start:end],
            is_highlight=bool(passage and passage.start <= start < passage.end),
            page=pages.get(start),
        )
        for start, end in zip(edges, edges[1:], strict=False)
    ]
