"""A document's text cut where its pages begin, at its headings, and where a passage is marked."""

import re
from dataclasses import dataclass
from itertools import pairwise

from .models import Chunk, Document

HEADING = re.compile(r"^#{1,6} .*$\n?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Segment:
    """`page` is set on the first segment of a page; `is_heading` if the text is one, without its marks."""

    text: str
    is_highlight: bool
    is_heading: bool
    page: int | None


def segments(document: Document, passage: Chunk | None) -> list[Segment]:
    text = document.text
    pages = {start: number for number, start in enumerate(document.page_starts, start=1)}
    headings = {match.start(): match.end() for match in HEADING.finditer(text)}
    cuts = {0, len(text), *pages, *headings, *headings.values()}
    if passage:
        cuts |= {passage.start, passage.end}
    return [
        Segment(
            text=text[start:end].lstrip("# ").rstrip() if start in headings else text[start:end],
            is_highlight=bool(passage and passage.start <= start < passage.end),
            is_heading=start in headings,
            page=pages.get(start),
        )
        for start, end in pairwise(sorted(cut for cut in cuts if cut <= len(text)))
    ]
