"""Lines of PDF pages to Markdown: paragraphs of one line, headings by size and weight, no running heads and feet.

A PDF says where letters stand, not what belongs together. Each rule below is what a reader's eye goes by.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from .plain import ITEM

LARGER = 1.15  # a heading's size against the body's
MARGIN = 0.12  # the share of a page's height, above and below, in which running heads and feet stand
MAX_HEADING = 150
OTHER_BODY = 0.25  # the share of the text from which a size or weight is no longer that of headings
COLUMN = 24  # points within which lines count as beginning at the same place
PAGE_NUMBER = re.compile(r"^\W*(\d{1,4})\b|\b(\d{1,4})(?:\s*(?:/|of|von|de|sur|di)\s*\d{1,4})?\W*$")
SENTENCE_END = re.compile(r"[.!?:。！？][\"'”’)\]]*$")
DOT_LEADERS = re.compile(r"(?:\s?[.·…_]){4,}\s*")
BULLET = re.compile(r"^[•‣▪●◦■□\uf0b7\uf0a7]\s*(?=\S)|^\*\s+(?=\S)")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text with its place in points.

    `base` grows upwards; `turn` counts quarter turns; `broken`: a hyphen splits its last word;
    `edge`: the right edge of its column.
    """

    text: str
    left: float
    right: float
    base: float
    size: float
    bold: bool = False
    broken: bool = False
    turn: int = 0
    edge: float = 0


@dataclass(slots=True)
class Block:
    """Lines that belong together. `level` is 0 for a paragraph, 1 to 6 for a heading."""

    lines: list[tuple[int, Line]]  # with their page numbers from 0
    level: int = 0


def compose(pages: list[list[Line]]) -> tuple[str, list[int]]:
    """Markdown of all pages, and the offset in it at which each page begins.

    A page without text begins where the next one does. A paragraph that runs over a page is not broken by it.
    """
    pages = without_running_heads([list(joined(page)) for page in pages])
    blocks = with_headings(list(paragraphs(pages)))
    words = Counter(word.lower() for page in pages for line in page for word in re.findall(r"\w+(?:-\w+)*", line.text))

    written: list[str] = []
    offset = 0
    starts: list[int | None] = [None] * len(pages)

    def write(piece: str) -> None:
        nonlocal offset
        written.append(piece)
        offset += len(piece)

    for block in blocks:
        write("\n\n" if written else "")
        last: Line | None = None
        for page, line in block.lines:
            piece = DOT_LEADERS.sub(" … ", BULLET.sub("- ", line.text)).strip()
            if last is not None:
                write(glue(written[-1], piece, last, line, words, heading=bool(block.level)))
            if starts[page] is None:
                starts[page] = offset
            if last is None and block.level:
                write(f"{'#' * block.level} ")
            write(piece)
            last = line

    following = offset
    for page in reversed(range(len(pages))):
        start = starts[page]
        following = starts[page] = following if start is None else start
    return "".join(written), [start or 0 for start in starts]


def glue(text: str, piece: str, last: Line, line: Line, words: Counter[str], *, heading: bool) -> str:
    """What stands between two lines of one block: a space, a line break, the hyphen of a compound, or nothing."""
    if last.broken:
        head = re.findall(r"[\w-]*$", text)[0]
        tail = re.findall(r"^[\w-]*", piece)[0]
        return "-" if words[f"{head}-{tail}".lower()] or not tail[:1].islower() else ""
    ended = ends_on_purpose(last, line) or (SENTENCE_END.search(last.text) and starts_item(line))
    return "\n" if not heading and (ended or BULLET.match(line.text)) else " "


def joined(page: list[Line]) -> Iterator[Line]:
    """Merge fragments that stand on one line: superscripts, changes of font, parts set by tabs."""
    current: Line | None = None
    for line in page:
        if current is not None and same_line(current, line):
            gap = line.left - current.right
            space = " " if gap > 0.15 * min(current.size, line.size) else ""
            main = current if len(current.text) >= len(line.text) else line
            current = replace(
                main,
                text=f"{current.text}{space}{line.text}",
                left=current.left,
                right=line.right,
                bold=current.bold and line.bold,
                broken=line.broken,
            )
        else:
            if current is not None:
                yield current
            current = line
    if current is not None:
        yield current


def same_line(one: Line, other: Line) -> bool:
    size = max(one.size, other.size)
    return (
        one.turn == other.turn
        and not one.broken
        and abs(one.base - other.base) < 0.6 * size
        and other.left - one.right >= -0.5 * size
    )


def without_running_heads(pages: list[list[Line]]) -> list[list[Line]]:
    """Drop page numbers with the words beside them, and all but the first of what recurs at the edge of many pages."""
    if len(pages) < 3:
        return pages
    edges = [list(edge_lines(page)) for page in pages]
    counts = Counter(text for edge in edges for text in {line.text for line in edge})
    enough = max(3, len(pages) * 0.2)
    running = {text for text, count in counts.items() if count >= enough and any(map(str.isalpha, text))}
    outermost = [list(outermost_lines(edge)) for edge in edges]
    first = printed_number_of_first_page(outermost)

    seen: set[str] = set()
    kept = []
    for number, (page, edge, outer) in enumerate(zip(pages, edges, outermost, strict=True)):
        dropped = {id(line) for line in edge if line.text in seen}
        if first is not None:
            dropped |= {id(line) for line in outer if first + number in outer_numbers(line)}
        seen |= running & {line.text for line in edge}
        kept.append([line for line in page if id(line) not in dropped])
    return kept


def printed_number_of_first_page(edges: list[list[Line]]) -> int | None:
    """What the pages' printed numbers make the first page's, if most pages agree."""
    offsets: Counter[int] = Counter()
    for number, edge in enumerate(edges):
        offsets.update({printed - number for line in edge for printed in outer_numbers(line)})
    if not offsets:
        return None
    first, count = offsets.most_common(1)[0]
    return first if count >= max(3, len(edges) * 0.4) else None


def outer_numbers(line: Line) -> set[int]:
    """Numbers at either end of a short line, the first of "3 of 12" included."""
    found = PAGE_NUMBER.findall(line.text) if len(line.text) < 100 else []
    return {int(number) for numbers in found for number in numbers if number}


def edge_lines(page: list[Line]) -> Iterator[Line]:
    upright = [line for line in page if line.turn == 0]
    if not upright:
        return
    low, high = min(line.base for line in upright), max(line.base for line in upright)
    room = (high - low) * MARGIN
    for line in upright:
        if line.base >= high - room or line.base <= low + room:
            yield line


def outermost_lines(edge: list[Line]) -> Iterator[Line]:
    """The first and last line of the page, or the two, where page numbers stand."""
    low, high = min((line.base for line in edge), default=0), max((line.base for line in edge), default=0)
    for line in edge:
        if line.base >= high - 1.5 * line.size or line.base <= low + 1.5 * line.size:
            yield line


def paragraphs(pages: list[list[Line]]) -> Iterator[Block]:
    pitch = usual_pitch(pages)
    block: Block | None = None
    for number, page in enumerate(pages):
        for line in with_edges(page):
            if block is not None and continues(block, line, number, pitch):
                block.lines.append((number, line))
            else:
                if block is not None:
                    yield block
                block = Block([(number, line)])
    if block is not None:
        yield block


def usual_pitch(pages: list[list[Line]]) -> float:
    """Distance from line to line against the font's size, 1.2 in most books."""
    steps = [
        (one.base - other.base) / one.size
        for page in pages
        for one, other in pairwise(page)
        if one.turn == other.turn and one.size == other.size > 0
    ]
    ordinary = [step for step in steps if 0.8 < step < 3]
    return median(ordinary) if ordinary else 1.2


def with_edges(page: list[Line]) -> Iterator[Line]:
    """Give each line the right edge of its column: what the longest of its size that begin near it reach."""
    columns: dict[tuple[int, int, int], list[float]] = defaultdict(list)
    for line in page:
        for near in (-1, 0, 1):
            columns[line.turn, round(line.size), round(line.left / COLUMN) + near].append(line.right)
    for rights in columns.values():
        rights.sort()
    for line in page:
        rights = columns[line.turn, round(line.size), round(line.left / COLUMN)]
        yield replace(line, edge=rights[int(0.95 * (len(rights) - 1))])


def continues(block: Block, line: Line, page: int, pitch: float) -> bool:
    """Whether `line` belongs to the paragraph or heading `block`."""
    last_page, last = block.lines[-1]
    step = last.base - line.base
    if last.broken and line.turn == last.turn:
        return True
    if line.turn != last.turn or abs(line.size - last.size) > 0.12 * last.size:
        return False
    ended, purpose = bool(SENTENCE_END.search(last.text)), ends_on_purpose(last, line)
    if page != last_page or step < 0.5 * last.size:  # the next page or column
        return not ended and not purpose and not starts_item(line) and line.bold == last.bold
    if step > 1.35 * pitch * last.size:
        return False
    if line.bold != last.bold and (ended or purpose):
        return False
    if ended or purpose:
        indented = line.left - last.left > 0.7 * last.size
        return not (indented and not starts_item(last)) and not (ended and purpose and length(block) > 200)
    return True


def ends_on_purpose(last: Line, line: Line) -> bool:
    """Whether the first word of `line` had room behind `last`: then its author, not the margin, broke the line."""
    word = line.text.split(maxsplit=1)[0]
    if word[0].islower():
        return False
    # Gaps in a table's row make letters seem wide; those of East Asian scripts are as wide as they are high.
    width = min((line.right - line.left) / len(line.text), line.size * (1 if word[0] >= "\u2e80" else 0.55))
    return last.right + (len(word) + 1) * width <= last.edge


def starts_item(line: Line) -> bool:
    return bool(BULLET.match(line.text) or ITEM.match(line.text))


def with_headings(blocks: list[Block]) -> list[Block]:
    """Set the level of each block that is set off from the body by its size or weight."""
    sizes: Counter[float] = Counter()
    weight: Counter[bool] = Counter()
    for block in blocks:
        for _, line in block.lines:
            sizes[line.size] += len(line.text)
            weight[line.bold] += len(line.text)
    if not sizes:
        return blocks
    body = sizes.most_common(1)[0][0]
    # A size or weight that much of the text is set in is another body, as on forms, and no sign of a heading.
    near = Counter({one: sum(count for other, count in sizes.items() if abs(one - other) < 0.5) for one in sizes})
    rare = {one for one, count in near.items() if count < OTHER_BODY * sizes.total()}
    large = [block for block in blocks if is_short(block) and size(block) >= LARGER * body and size(block) in rare]
    steps = sorted({round(size(block)) for block in large}, reverse=True)
    for block in large:
        block.level = min(steps.index(round(size(block))) + 1, 5)
    bold = {
        id(block)
        for block in blocks
        if is_short(block) and 0.95 * body <= size(block) < LARGER * body and is_bold(block)
        if weight[True] < OTHER_BODY * weight.total()
    }
    for block, following in pairwise(blocks):
        if id(block) in bold and not following.level and length(following) >= 80:
            block.level = min(len(steps) + 1, 6)
        if following.lines[0][1].text[0].islower():  # the sentence goes on: an emphasis, not a heading
            block.level = 0
    return blocks


def is_short(block: Block) -> bool:
    text = " ".join(line.text for _, line in block.lines)
    return (
        len(block.lines) <= 3
        and len(text) <= MAX_HEADING
        and sum(map(str.isalpha, text)) >= max(3, len(text) / 2)
        and not text.endswith((".", ",", ";", ":", "-"))
        and block.lines[0][1].turn == 0
    )


def length(block: Block) -> int:
    return sum(len(line.text) for _, line in block.lines)


def is_bold(block: Block) -> bool:
    return all(line.bold for _, line in block.lines)


def size(block: Block) -> float:
    return block.lines[0][1].size
