"""Takes a passage apart into what can be quoted: sentences, list items, table rows and blocks of code.

Passages are Markdown or text that came out of a PDF, so their lines may be wrapped anywhere: lines are joined back
into paragraphs before a paragraph is split. The quotes are plain text, without the passage's own markup.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["sentence", "item", "row", "code"]


@dataclass(frozen=True, slots=True)
class Sentence:
    """One quotable piece of a passage. `under` is the heading above it inside the passage, if there is one."""

    text: str
    kind: Kind
    under: str = ""


FENCE = re.compile(r"^\s*(```|~~~)")
HEADING = re.compile(r"^\s{0,3}#{1,6}\s+(.*?)\s*#*$")
UNDERLINE = re.compile(r"^\s{0,3}(=+|-{2,})\s*$")
RULE = re.compile(r"^\s{0,3}([-*_]\s*){3,}$")
ITEM = re.compile(r"^\s*(?:[-*+•‣◦▪]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s+(.*)$")
ROW = re.compile(r"^\s*\|(.*?)\|?\s*$")
TABLE_RULE = re.compile(r"^\s*\|?\s*:?-{2,}:?\s*(\|\s*:?-{2,}:?\s*)*\|?\s*$")
QUOTE = re.compile(r"^\s*(>\s?)+")


def sentences(text: str) -> list[Sentence]:
    """Everything in the passage that can be quoted, in reading order."""
    return list(_Reader(text).read())


class _Reader:
    """Reads a passage line by line and gives out a block whenever one ends."""

    def __init__(self, text: str) -> None:
        self.lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u00ad", "").split("\n")
        self.under = ""
        self.paragraph: list[str] = []
        self.item: list[str] = []
        self.columns: list[str] | None = None

    def read(self) -> Iterator[Sentence]:
        lines = iter(enumerate(self.lines))
        for number, line in lines:
            following = self.lines[number + 1] if number + 1 < len(self.lines) else ""
            if fence := FENCE.match(line):
                yield from self.end_block()
                code = []
                for _, inner in lines:
                    if inner.strip().startswith(fence[1]):
                        break
                    code.append(inner)
                if any(part.strip() for part in code):
                    yield Sentence("\n".join(code).strip("\n"), "code", self.under)
                continue
            line = QUOTE.sub("", line)
            if "|" in line and TABLE_RULE.match(following) and "|" in following:
                yield from self.end_block()
                self.columns = cells(line)
            elif self.columns is not None and TABLE_RULE.match(line):
                continue
            elif ROW.match(line) or (self.columns and "|" in line):
                yield from self.end_paragraph()
                yield from self.row(line)
            elif not line.strip() or RULE.match(line):
                yield from self.end_block()
            elif heading := HEADING.match(line):
                yield from self.end_block()
                self.under = plain(heading[1])
            elif not self.paragraph and not self.item and UNDERLINE.match(following):
                yield from self.end_block()
                self.under = plain(line)
                next(lines, None)
            elif item := ITEM.match(line):
                yield from self.end_block()
                self.item = [item[1]]
            else:
                (self.item or self.paragraph).append(line)
        yield from self.end_block()

    def row(self, line: str) -> Iterator[Sentence]:
        values = cells(line)
        if self.columns and len(values) <= len(self.columns):
            pairs = zip(self.columns, values, strict=False)
            text = "; ".join(f"{name}: {value}" if name else value for name, value in pairs if value)
        else:
            text = " · ".join(value for value in values if value)
        if text:
            yield Sentence(text, "row", self.under)

    def end_block(self) -> Iterator[Sentence]:
        yield from self.end_paragraph()
        self.columns = None

    def end_paragraph(self) -> Iterator[Sentence]:
        if self.item and (text := plain(joined(self.item))):
            yield Sentence(text, "item", self.under)
        for paragraph in unwrapped(self.paragraph):
            for text in split(plain(paragraph)):
                yield Sentence(text, "sentence", self.under)
        self.item, self.paragraph = [], []


def cells(line: str) -> list[str]:
    inside = line.strip().removeprefix("|").removesuffix("|")
    return [plain(cell) for cell in re.split(r"(?<!\\)\|", inside)]


def joined(lines: list[str]) -> str:
    """Lines as one text; a word that was hyphenated at the end of a line keeps its hyphen but no gap."""
    return re.sub(r"(?<=[^\W\d_]-) (?=[a-z])", "", " ".join(line.strip() for line in lines))


def unwrapped(lines: list[str]) -> Iterator[str]:
    """Joins wrapped lines. A line that had room for the next line's first word was ended on purpose."""
    width = max((len(line.strip()) for line in lines), default=0)
    together: list[str] = []
    for line in lines:
        if together:
            before, word = together[-1].strip(), line.split()[0]
            had_room = width < 40 or len(before) + 1 + len(word) <= width * 0.85
            if had_room and not word[0].islower() and not before.endswith((",", ";", "-", "–")):
                yield joined(together)
                together = []
        together.append(line)
    if together:
        yield joined(together)


ADDRESS = r"\((?:[^()]|\([^()]*\))*\)"
INLINE = (
    (re.compile(r"<!--.*?-->", re.S), ""),
    (re.compile(rf"!\[([^\]]*)\]{ADDRESS}"), r"\1"),
    (re.compile(rf"\[([^\]]+)\](?:{ADDRESS}|\[[^\]]*\])"), r"\1"),
    (re.compile(r"\[\^[^\]]+\]:?"), ""),
    (re.compile(r"</?[a-zA-Z][^<>]*>"), ""),
    (re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1"), r"\2"),
    (re.compile(r"(?<![\w*])([*_])(?=\S)([^*_\n]+?)(?<=\S)\1(?![\w*])"), r"\2"),
    (re.compile(r"(`+)(.+?)\1"), r"\2"),
    (re.compile(r"\\([\\`*_{}\[\]()#+\-.!|<>~])"), r"\1"),
    (re.compile(r"\s+"), " "),
)


def plain(text: str) -> str:
    """Text without inline Markdown, tags and doubled spaces."""
    for pattern, replacement in INLINE:
        text = pattern.sub(replacement, text)
    return html.unescape(text).strip()


ENDING = re.compile(r"[.!?…]+[\"'”’»)\]]*\s+(?=[\"'“‘«(\[]*[^\W_a-z])|(?<=[。！？])")
ABBREVIATION = re.compile(
    r"(?:^|[\s(\[“\"'])(?:[A-Z]|[A-Za-z](?:\.[A-Za-z])+|Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|Gen|Col|Lt|Capt|Rev|Hon|Gov|Sen|Rep|"
    r"vs|etc|cf|ca|approx|No|Nos|Fig|Figs|Eq|Art|Sec|Ch|Vol|Ed|pp?|al|Inc|Ltd|Co|Corp|Dept|Univ|Mt|Ft|"
    r"Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.$"
)


def split(paragraph: str) -> list[str]:
    """Sentences of a paragraph of plain text; the stop after an abbreviation or an initial ends none."""
    found, start = [], 0
    for ending in ENDING.finditer(paragraph):
        candidate = paragraph[start : ending.end()].strip()
        if candidate and not ABBREVIATION.search(candidate):
            found.append(candidate)
            start = ending.end()
    rest = paragraph[start:].strip()
    return [*found, rest] if rest else found
