"""Web pages to light Markdown: what a reader would read, without scripts, navigation and the page's frame."""

import re
from dataclasses import dataclass, field

from lxml import etree
from lxml import html as lxml_html

from apps.tenants.uploads.encoding import decode

from .errors import ParseError
from .plain import ITEM, clean, tidy

# libxml2 stops silently at this depth; ordinary pages stay below 100.
MAX_DEPTH = 2048
# The share of the page's text that <main> or <article> must hold to be taken for the whole content.
MAIN_SHARE = 0.3

SKIPPED = {
    *("head", "script", "style", "noscript", "template", "svg", "math", "iframe", "object", "canvas", "audio", "video"),
    *("nav", "footer", "button", "select", "input", "textarea", "dialog", "menu"),
}
SKIPPED_ROLES = {"navigation", "banner", "contentinfo", "search", "complementary", "dialog", "alertdialog"}
BLOCKS = {
    *("address", "article", "aside", "blockquote", "body", "center", "dd", "details", "div", "dl", "dt", "fieldset"),
    *("figcaption", "figure", "form", "header", "hgroup", "hr", "html", "legend", "main", "ol", "p", "section"),
    *("summary", "ul"),
}
DECLARED = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?\s*([\w-]+)", re.IGNORECASE)


def read_html(data: bytes) -> tuple[str, str | None]:
    """Text of a page as light Markdown, and its title: <h1> if there is exactly one, else <title>."""
    declared = DECLARED.search(data[:2048])
    source = clean(decode(data, declared=declared[1].decode("ascii") if declared else None))
    root = tree(source)
    if root is None:
        return "", None

    page = Page()
    page.write(root)
    text = tidy("\n\n".join(page.blocks))
    contents = list(root.iter("main")) or list(root.iter("article"))
    if len(contents) == 1:
        main = Page()
        main.write(contents[0])
        inner = tidy("\n\n".join(main.blocks))
        if len(inner) >= len(text) * MAIN_SHARE:
            text = inner

    return text, title(root)


def tree(source: str) -> etree._Element | None:
    # The text is decoded: an encoding it names would make lxml refuse the string.
    source = re.sub(r"\A\s*<\?xml[^>]*>", "", source)
    if not source.strip():
        return None
    parser = lxml_html.HTMLParser(huge_tree=True, remove_comments=True, remove_pis=True)
    try:
        root = lxml_html.document_fromstring(source, parser=parser)
    except etree.ParserError:  # "Document is empty"
        return None
    except etree.XMLSyntaxError as error:  # any page parses; what failed is an allocation
        raise MemoryError from error
    if any(entry.type_name == "ERR_RESOURCE_LIMIT" for entry in parser.error_log):
        raise ParseError("too_deep", limit=MAX_DEPTH)
    return root


def title(root: etree._Element) -> str | None:
    headings = [inline_text(element) for element in root.iter("h1")]
    if len(headings) == 1 and headings[0]:
        return headings[0]
    element = root.find(".//title")
    return (inline_text(element) or None) if element is not None else None


def inline_text(element: etree._Element) -> str:
    return " ".join("".join(element.itertext()).split())


@dataclass
class Page:
    """Collects blocks of Markdown while walking the tree in document order, without recursion."""

    blocks: list[str] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)  # the paragraph being written
    prefix: str = ""  # of that paragraph: "## ", "- "
    lists: list[str | int] = field(default_factory=list)  # open lists: "-" or the next number

    def write(self, root: etree._Element) -> None:
        skipped: etree._Element | None = None
        for event, element in etree.iterwalk(root, events=("start", "end")):
            if not isinstance(element.tag, str):
                continue
            if event == "start":
                if skipped is None:
                    if is_skipped(element) or (element.tag in {"table", "pre"} and self.write_whole(element)):
                        skipped = element
                    else:
                        self.start(element)
                        self.say(element.text)
            else:
                if skipped is element:
                    skipped = None
                elif skipped is None:
                    self.end(element)
                if skipped is None and element is not root:
                    self.say(element.tail)
        self.flush()

    def write_whole(self, element: etree._Element) -> bool:
        """Write a table of data or a block of code at once; False for a table that only lays out the page."""
        if element.tag == "pre":
            block = code("".join(element.itertext()))
        elif is_layout(element):
            return False
        else:
            block = table([[inline_text(cell) for cell in row.iter("td", "th")] for row in element.iter("tr")])
        self.flush()
        if block:
            self.blocks.append(block)
        return True

    def start(self, element: etree._Element) -> None:
        tag = element.tag
        if re.fullmatch("h[1-6]", tag):
            self.flush()
            self.prefix = "#" * int(tag[1]) + " "
        elif tag in {"ul", "ol", "dl"}:
            self.flush()
            self.lists.append(1 if tag == "ol" else "-")
        elif tag == "li":
            self.flush()
            self.prefix = self.bullet()
        elif tag == "br":
            self.pieces.append("\n")
        elif tag in {"tr", "td", "th"} or (tag in BLOCKS and not (self.prefix and not "".join(self.pieces).strip())):
            self.flush()

    def end(self, element: etree._Element) -> None:
        tag = element.tag
        if tag in {"ul", "ol", "dl"}:
            self.flush()
            if self.lists:
                self.lists.pop()
        elif tag in BLOCKS or tag in {"li", "tr", "td", "th"} or re.fullmatch("h[1-6]", tag):
            self.flush()

    def bullet(self) -> str:
        indent = "  " * max(len(self.lists) - 1, 0)
        if self.lists and isinstance(number := self.lists[-1], int):
            self.lists[-1] = number + 1
            return f"{indent}{number}. "
        return f"{indent}- "

    def say(self, text: str | None) -> None:
        self.pieces.append(re.sub(r"\s+", " ", text or ""))

    def flush(self) -> None:
        """Close the paragraph being written; items of one list stay on neighbouring lines."""
        text = tidy("\n".join(line.strip() for line in "".join(self.pieces).split("\n")))
        if text and self.prefix:
            text = self.prefix + " ".join(text.split())
        if text and ITEM.match(text) and self.blocks and ITEM.match(self.blocks[-1]) and self.prefix:
            self.blocks[-1] += f"\n{text}"
        elif text:
            self.blocks.append(text)
        self.pieces, self.prefix = [], ""


def is_skipped(element: etree._Element) -> bool:
    return (
        element.tag in SKIPPED
        or element.get("role") in SKIPPED_ROLES
        or element.get("hidden") is not None
        or element.get("aria-hidden") == "true"
    )


def is_layout(element: etree._Element) -> bool:
    """Tables of old pages that hold tables, headings or a single column place things; they hold no data."""
    if next(element.iterdescendants("table", "h1", "h2", "h3", "ul", "ol"), None) is not None:
        return True
    return all(len(row.findall("td") + row.findall("th")) < 2 for row in element.iter("tr"))


def table(rows: list[list[str]]) -> str:
    """Rows as a Markdown table; its first row is the head. Empty rows are left out, short ones filled up."""
    rows = [row for row in rows if any(row)]
    if not rows:
        return ""
    width = max(map(len, rows))
    lines = [
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row + [""] * (width - len(row))) + " |" for row in rows
    ]
    return "\n".join([lines[0], "|" + " --- |" * width, *lines[1:]])


def code(text: str) -> str:
    text = text.strip("\n")
    fence = "```" if "```" not in text else "~~~~"
    return f"{fence}\n{text}\n{fence}" if text.strip() else ""
