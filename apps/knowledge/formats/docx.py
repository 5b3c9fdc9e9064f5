"""Word documents to light Markdown.

Reads the XML parts that hold text straight from the archive: pictures are never unpacked, and a dangling
relationship, which many real files have, can't stop it. Follows ECMA-376 part 1, section 17 (WordprocessingML).
"""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from lxml import etree

from .errors import ParseError
from .html import table
from .plain import clean, tidy

MAX_PART_MB = 64  # a book of 1,000 pages has a main part of about 10 MB
MAX_PARTS = 10_000
# Deleted text, the older copy of a drawing, and field codes such as PAGEREF.
SKIPPED = {"del", "moveFrom", "Fallback", "instrText", "delText", "rPr", "pPr"}
SPACES = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "ptab": "\t"}


def read_docx(path: Path) -> tuple[str, str | None]:
    """Text as light Markdown, and the title: the first paragraph styled so, else the one in the file's properties.

    Raises ParseError: not_a_docx, password, damaged, bomb.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            document = WordDocument(archive)
    except (zipfile.BadZipFile, etree.XMLSyntaxError, EOFError, OSError) as error:
        raise ParseError("damaged") from error
    except RuntimeError as error:  # zipfile: "File ... is encrypted, password required"
        raise ParseError("password") from error
    document.write(document.body)
    return tidy(clean("\n\n".join(document.blocks))), document.title or document.title_of_properties


def name(element: etree._Element) -> str:
    """Local name: the transitional and the strict dialect differ in their namespaces only."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def child(element: etree._Element | None, *names: str) -> etree._Element | None:
    """The first child of that name, then its first child of the next name, and so on."""
    for wanted in names:
        element = next((each for each in element if name(each) == wanted), None) if element is not None else None
    return element


def value(element: etree._Element | None, attribute: str = "val") -> str | None:
    if element is None:
        return None
    return next((text for key, text in element.attrib.items() if key.rpartition("}")[2] == attribute), None)


def value_text(element: etree._Element | None) -> str | None:
    return (" ".join("".join(element.itertext()).split()) or None) if element is not None else None


class WordDocument:
    """The text parts of one archive, and the blocks of Markdown written so far."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        if len(archive.namelist()) > MAX_PARTS:
            raise ParseError("bomb", limit=MAX_PART_MB)
        main = main_part(archive)
        folder = main.rpartition("/")[0]
        body = child(read_part(archive, main), "body")
        if body is None:
            raise ParseError("not_a_docx")
        self.body = body
        self.styles = {
            value(style, "styleId"): style
            for style in read_part(archive, f"{folder}/styles.xml", default="<styles/>")
            if name(style) == "style"
        }
        self.notes = {
            f"{kind}Reference{value(note, 'id')}": note
            for kind in ("footnote", "endnote")
            for note in read_part(archive, f"{folder}/{kind}s.xml", default="<notes/>")
            if value(note, "type") in {None, "normal"} and name(note) == kind
        }
        self.title: str | None = None
        self.title_of_properties = value_text(
            child(read_part(archive, "docProps/core.xml", default="<coreProperties/>"), "title")
        )
        self.depth = 0  # of the last heading that is one by its style
        self.blocks: list[str] = []

    def write(self, container: etree._Element) -> None:
        for element in container:
            kind = name(element)
            if kind == "p":
                self.write_paragraph(element)
            elif kind == "tbl":
                self.write_table(element)
            elif kind in {"sdt", "sdtContent", "customXml", "ins", "moveTo", "smartTag"}:
                self.write(element)

    def write_paragraph(self, paragraph: etree._Element) -> None:
        text = tidy("".join(runs(paragraph)))
        line = " ".join(text.split())
        level = self.level(paragraph)
        indent = self.indent(paragraph)
        if level == "toc":
            return
        if not line:
            pass
        elif level is not None:
            self.title = self.title or (line if level == "title" else None)
            self.depth = 1 if level == "title" else int(level) + 1
            self.blocks.append(f"{'#' * self.depth} {line}")
        elif indent is not None:
            item = f"{'  ' * indent}- {line}"
            if self.blocks and re.match(r" *- ", self.blocks[-1]):
                self.blocks[-1] += f"\n{item}"
            else:
                self.blocks.append(item)
        elif is_bold_line(paragraph, line):
            self.blocks.append(f"{'#' * min(self.depth + 1, 6)} {line}")
        else:
            self.blocks.append("\n".join(" ".join(each.split()) for each in text.split("\n")))
        for aside in self.asides(paragraph):
            self.write(aside)

    def asides(self, paragraph: etree._Element) -> Iterator[etree._Element]:
        """Notes and text boxes anchored in a paragraph: they are read after it."""
        for element in visible(paragraph):
            if name(element) in {"footnoteReference", "endnoteReference"}:
                note = self.notes.pop(f"{name(element)}{value(element, 'id')}", None)
                if note is not None:
                    yield note
            elif name(element) == "txbxContent":
                yield element

    def write_table(self, element: etree._Element) -> None:
        rows = [
            [" ".join(cell_text(cell).split()) for cell in row.iter("{*}tc") if nearest(cell, "tbl") is element]
            for row in element.iter("{*}tr")
            if nearest(row, "tbl") is element
        ]
        if rows and all(len(row) < 2 for row in rows):  # a frame around text, not data
            for cell in element.iter("{*}tc"):
                if nearest(cell, "tbl") is element:
                    self.write(cell)
            return
        if block := table(rows):
            self.blocks.append(block)
        for paragraph in element.iter("{*}p"):
            for aside in self.asides(paragraph):
                self.write(aside)

    def level(self, paragraph: etree._Element) -> str | None:
        """ "0" to "5" of a heading, "title", "toc" for a line of the table of contents, or None for body text."""
        for properties, style in self.chain(paragraph):
            outline = value(child(properties, "outlineLvl"))
            if outline is not None:
                return outline if outline.isdigit() and int(outline) < 6 else None
            style_name = (value(child(style, "name")) or "").lower()
            if style_name == "title":
                return "title"
            if re.fullmatch(r"toc \d|table of figures|toc heading", style_name):
                return "toc"
            if match := re.fullmatch(r"heading ([1-6])", style_name):
                return str(int(match[1]) - 1)
        return None

    def indent(self, paragraph: etree._Element) -> int | None:
        """Depth of a list item, or None for a paragraph that is none."""
        for properties, _ in self.chain(paragraph):
            numbering = child(properties, "numPr")
            if numbering is not None:
                if value(child(numbering, "numId")) == "0":
                    return None
                depth = value(child(numbering, "ilvl")) or "0"
                return min(int(depth), 8) if depth.isdigit() else 0
        return None

    def chain(self, paragraph: etree._Element) -> Iterator[tuple[etree._Element | None, etree._Element | None]]:
        """Paragraph properties with their style, from the paragraph itself to the root of the styles it builds on."""
        properties = child(paragraph, "pPr")
        yield properties, None
        style_id, seen = value(child(properties, "pStyle")), set()
        while (style := self.styles.get(style_id)) is not None and style_id not in seen:
            seen.add(style_id)
            yield child(style, "pPr"), style
            style_id = value(child(style, "basedOn"))


def is_bold_line(paragraph: etree._Element, line: str) -> bool:
    """Whether all of a short line is bold, which is how a heading looks to those who don't use styles."""
    if len(line) > 100 or line.endswith((".", ":", ";", ",")):
        return False
    bold = [
        value(child(run, "rPr", "b")) not in {"0", "false"} and child(run, "rPr", "b") is not None
        for run in visible(paragraph)
        if name(run) == "r" and any((each.text or "").strip() for each in run if name(each) == "t")
    ]
    return bool(bold) and all(bold)


def main_part(archive: zipfile.ZipFile) -> str:
    for override in read_part(archive, "[Content_Types].xml", default="<Types/>"):
        kind = override.get("ContentType", "")
        if "word" in kind and kind.endswith(".main+xml") and override.get("PartName"):
            return override.get("PartName", "").lstrip("/")
    if "word/document.xml" in archive.namelist():
        return "word/document.xml"
    raise ParseError("not_a_docx")


def read_part(archive: zipfile.ZipFile, part: str, *, default: str | None = None) -> etree._Element:
    """Parse one XML part. zipfile reads no more than the size checked here, whatever the data inflates to."""
    try:
        info = archive.getinfo(part)
    except KeyError:
        if default is None:
            raise ParseError("damaged") from None
        return etree.fromstring(default)
    if info.file_size > MAX_PART_MB * 2**20:
        raise ParseError("bomb", limit=MAX_PART_MB)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    return etree.fromstring(archive.read(info), parser)


def visible(element: etree._Element) -> Iterator[etree._Element]:
    """Descendants that a reader sees, in order; a text box is given, but not entered."""
    for each in element:
        kind = name(each)
        if kind in SKIPPED or not kind:
            continue
        yield each
        if kind != "txbxContent":
            yield from visible(each)


def runs(paragraph: etree._Element) -> Iterator[str]:
    for element in visible(paragraph):
        kind = name(element)
        if kind == "t":
            yield element.text or ""
        elif kind in SPACES and value(element, "type") != "page":
            yield SPACES[kind]


def cell_text(cell: etree._Element) -> str:
    return " ".join("".join(runs(paragraph)) for paragraph in cell.iter("{*}p"))


def nearest(element: etree._Element, wanted: str) -> etree._Element | None:
    return next((each for each in element.iterancestors() if name(each) == wanted), None)
