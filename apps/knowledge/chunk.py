"""A document's text to the passages it is searched by: whole paragraphs, with exact offsets, headings and pages."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

# Measured: passages of this size, cut between paragraphs, tie with every chunking library.
SMALL = 600
LARGE = 1000
TINY = 200  # a rest this short joins the passage before it
MAX_HEADING = 120  # characters of one heading in the path

HEADING = re.compile(r"(#{1,6}) (.+)")
LINE_OF_ITS_OWN = re.compile(r"\s|\||[-*+] |\d+[.)] ")  # indented, a table row, a list item
FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})")
SENTENCE_END = re.compile(
    r"""(?<=[.!?…])["'”’»)\]]*\s+(?=["'“‘«(\[¿¡]?[^\W_a-z])   # a capital, a digit or another script follows
      | (?<=[。！？])""",
    re.VERBOSE,
)
ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|Sr|Jr|St|No|Nos|Fig|Sec|Art|Vol|pp?|cf|vs|al|etc|e\.g|i\.e|approx|ca|bzw|z\.B|Nr)"
    r"|\b[A-Z](?:\.[A-Z])*)\.$"
)
LINK = re.compile(r"!?\[([^\]]*)\]\((?:[^()]|\([^()]*\))*\)")
TABLE_RULE = re.compile(r"^\|?[\s:|-]*-{3}[\s:|-]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Passage:
    """`document[start:end] == text`. `heading` is "title > heading > ...", `page` counts from 1."""

    start: int
    end: int
    text: str
    heading: str
    page: int | None


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that belong together. `level` is that of a heading, else 0. `whole_lines`: cut between lines only."""

    start: int
    end: int
    level: int = 0
    whole_lines: bool = False


def chunk(text: str, *, title: str = "", page_starts: Sequence[int] = ()) -> list[Passage]:
    """Passages of 600 to 1,000 characters where the paragraphs allow it, in order, none of them empty.

    A passage never crosses a heading. Code, tables and lists stay whole if they fit in one.
    """
    passages: list[Passage] = []
    path: list[tuple[int, str]] = []  # the headings we are under, with their levels

    def add(spans: list[tuple[int, int]]) -> None:
        heading = " > ".join(unrepeated([title, *(name for _, name in path)]))
        for start, end in spans:
            page = max(bisect_right(page_starts, start), 1) if page_starts else None
            passages.append(Passage(start, end, text[start:end], heading, page))

    section: list[Block] = []
    heading: Block | None = None
    for block in [*blocks(text), Block(len(text), len(text), level=1)]:
        if not block.level:
            section.append(block)
            continue
        if section:
            add(pack(text, section))
        elif heading is not None and block.level <= heading.level:
            add([(heading.start, heading.end)])  # a heading that nothing stands under is a statement
        section, heading = [], block
        # Cut first: on a line of nothing but brackets the pattern takes quadratic time.
        line = text[block.start : min(block.end, block.start + 5 * MAX_HEADING)]
        name = LINK.sub(r"\1", line.lstrip("#")).strip(" *_")[:MAX_HEADING]
        path = [each for each in path if each[0] < block.level] + [(block.level, name)]
    return passages


def embedding_text(heading: str, text: str) -> str:
    """What is embedded: the headings, then the passage as prose, for the model reads 256 tokens and no Markdown."""
    text = LINK.sub(r"\1", TABLE_RULE.sub(" ", text)).replace("|", " ")
    return "\n".join(part for part in (heading, " ".join(text.split())) if part)


def unrepeated(names: list[str]) -> list[str]:
    """Without empty names, and without a heading that says the title again."""
    kept: list[str] = []
    for name in names:
        if name and name.casefold() not in {each.casefold() for each in kept}:
            kept.append(name)
    return kept


def blocks(text: str) -> Iterator[Block]:
    """Headings, paragraphs, lists, tables and code of a Markdown text, in order."""
    start: int | None = None
    fence = ""
    whole_lines = False
    offset = end = 0

    for line in text.split("\n"):
        mark = FENCE.match(line)
        heading = None if fence else HEADING.match(line)
        if start is not None and not fence and (heading or not line.strip() or (mark and not whole_lines)):
            yield Block(start, end, whole_lines=whole_lines)
            start = None
        if heading:
            yield Block(offset, offset + len(line), level=len(heading[1]))
        elif fence or line.strip():
            if start is None:
                start, whole_lines = offset + len(line) - len(line.lstrip()), False
            whole_lines = whole_lines or bool(mark) or LINE_OF_ITS_OWN.match(line) is not None
            end = offset + len(line)
            if mark:
                fence = "" if fence and line.strip().startswith(fence) else fence or mark[1]
        offset += len(line) + 1
    if start is not None:
        yield Block(start, end, whole_lines=whole_lines)


def pack(text: str, section: list[Block]) -> list[tuple[int, int]]:
    """Spans of the passages of one section."""
    spans: list[tuple[int, int]] = []
    held: list[tuple[int, int]] = []  # the paragraphs of the passage being filled

    for span in (part for block in section for part in split(text, block)):
        if held and (span[1] - held[0][0] > LARGE or held[-1][1] - held[0][0] >= SMALL):
            introduces = text[held[-1][1] - 1] == ":" and len(held) > 1 and span[1] - held[-1][0] <= LARGE
            lead = [held.pop()] if introduces else []
            spans.append((held[0][0], held[-1][1]))
            held = lead
        held.append(span)

    start, end = held[0][0], held[-1][1]
    if spans and end - start < TINY and end - spans[-1][0] <= LARGE + TINY:
        start = spans.pop()[0]
    spans.append((start, end))
    return spans


def split(text: str, block: Block) -> list[tuple[int, int]]:
    """The block, or parts of about the same size if it is too large for one passage."""
    if block.end - block.start <= LARGE:
        return [(block.start, block.end)]
    units = list(lines(text, block) if block.whole_lines else sentences(text, block.start, block.end))
    size = (block.end - block.start) / ceil((block.end - block.start) / LARGE)
    parts = [units[0]]
    for start, end in units[1:]:
        first, last = parts[-1]
        # Closer to the even size with this sentence than without it?
        if end - first <= LARGE and (end - first) - size <= size - (last - first):
            parts[-1] = (first, end)
        else:
            parts.append((start, end))
    return parts


def lines(text: str, block: Block) -> Iterator[tuple[int, int]]:
    for match in re.compile(r"[^\s][^\n]*").finditer(text, block.start, block.end):
        if match.end() - match.start() <= LARGE:
            yield match.span()
        else:
            yield from sentences(text, *match.span())


def sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Spans of the sentences between two offsets; one longer than a passage is cut at its pauses, or anywhere."""
    first = start
    for match in SENTENCE_END.finditer(text, start, end):
        if ABBREVIATION.search(text, max(first, match.start() - 12), match.start()):
            continue
        yield from pauses(text, first, match.start() + len(match[0].rstrip()))
        first = match.end()
    if first < end:
        yield from pauses(text, first, end)


def pauses(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while end - start > LARGE:
        window = text[start : start + LARGE]
        cut = max(window.rfind(mark, SMALL) for mark in ("\n", "; ", ", ", "，", "、"))
        if cut < 0:
            cut = window.rfind(" ", SMALL)
        following = start + (cut + 1 if cut >= 0 else LARGE)
        yield start, start + len(text[start:following].rstrip())
        start = following + len(text[following:end]) - len(text[following:end].lstrip())
    if start < end:
        yield start, end
