"""Markdown and plain text to paragraphs of one line each."""

import re
import unicodedata

from apps.tenants.uploads.encoding import decode

CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\u200b\u2060\ufeff\ufff9-\ufffb\ufffe\uffff]")
LIGATURE = re.compile("[\ufb00-\ufb06]")
FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
FENCE = re.compile(r"[ \t]*(`{3,}(?!.*`)|~{3,})")
HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
UNDERLINE = re.compile(r" {0,3}(=+|-{2,})[ \t]*$")
ITEM = re.compile(r"[ \t]*(?:[-*+•]|\d{1,9}[.)])[ \t]+\S")
OWN_LINE = re.compile(r"[ \t]*(?:\||>|<|\{%|(?:[-*_][ \t]*){3,}$|\[[^\]]+\]:)")


def clean(text: str) -> str:
    """NFC, `\\n` newlines, and no control characters, invisible ones or ligatures."""
    text = unicodedata.normalize("NFC", text)
    text = re.sub(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]", "\n", text)
    text = CONTROL.sub("", text).replace("\u00ad", "").replace("\u00a0", " ")
    return LIGATURE.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)


def tidy(text: str) -> str:
    """No spaces at line ends, at most one blank line in a row, none at either end."""
    text = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n")


def read_text(data: bytes) -> tuple[str, str | None]:
    """Plain text as it stands, except that hard-wrapped paragraphs become one line each. It has no title."""
    paragraphs = tidy(clean(decode(data))).split("\n\n")
    return "\n\n".join(unwrap_plain(paragraph) for paragraph in paragraphs), None


def unwrap_plain(paragraph: str) -> str:
    """Join lines that were broken at a width; keep addresses, verses and lists, whose lines end where they mean to."""
    lines = paragraph.split("\n")
    width = max(map(len, lines))
    wrapped = (
        len(lines) > 1
        and 50 <= width <= 120
        and all(len(line) >= width * 0.6 for line in lines[:-1])
        and not any(ITEM.match(line) or OWN_LINE.match(line) or HEADING.match(line) for line in lines)
        and not any(UNDERLINE.match(line) for line in lines)
    )
    return " ".join(line.strip() for line in lines) if wrapped else paragraph


def read_markdown(data: bytes) -> tuple[str, str | None]:
    """Markdown with one line per paragraph and list item, `#` headings only, and its title.

    The title is the front matter's, else the first heading if that is of level one.
    """
    text = clean(decode(data))
    title = None
    if match := FRONT_MATTER.match(text):
        title = front_matter_title(match[1])
        text = text[match.end() :]
    text = tidy(unwrap_markdown(text))
    if title is None and (first := re.match(r"# (.+)", text)):
        title = first[1]
    return text, title


def front_matter_title(block: str) -> str | None:
    match = re.search(r"^title:[ \t]*(.+?)[ \t]*$", block, re.MULTILINE)
    return match[1].strip("\"'") or None if match else None


def unwrap_markdown(text: str) -> str:
    lines: list[str] = []
    wrapped: list[str] = []  # the parts of the paragraph or item being read
    fence = ""  # the marks that opened the code block we are in

    def close(*following: str) -> None:
        """End what is being read; then come these lines, blank ones for distance."""
        if wrapped:
            lines.append(" ".join(wrapped))
            wrapped.clear()
        lines.extend(following)

    for line in remove_comments(text).split("\n"):
        mark = FENCE.match(line)
        underline = UNDERLINE.match(line) if wrapped and not ITEM.match(wrapped[0]) else None
        if fence:
            close(line)
            if mark and mark[1].startswith(fence) and line.strip() == mark[1]:
                fence = ""
        elif mark:
            close(line)
            fence = mark[1]
        elif heading := HEADING.match(line):
            close("", f"{heading[1]} {heading[2] or ''}", "")
        elif underline:
            wrapped[0] = f"{'#' if underline[1].startswith('=') else '##'} {wrapped[0].strip()}"
            close("")
        elif not line.strip():
            close("")
        elif OWN_LINE.match(line) or (not wrapped and line.startswith("    ") and not ITEM.match(line)):
            close(line)
        else:
            if starts_item(line, wrapped[0] if wrapped else ""):
                close()
            wrapped.append(line.rstrip() if ITEM.match(line) else line.strip())
            if ends_hard(line):
                close()

    close()
    return "\n".join(lines)


def starts_item(line: str, before: str) -> bool:
    """Whether a list item begins here; a number in the middle of a paragraph ("... in\\n2024. Then") begins none."""
    if not ITEM.match(line):
        return False
    return not before or bool(ITEM.match(before)) or not line.lstrip()[0].isdigit() or line.lstrip().startswith("1")


def remove_comments(text: str) -> str:
    """Drop HTML comments, but not those inside code blocks, where they are what the author shows."""
    if "<!--" not in text:
        return text
    parts = re.split(r"(^ {0,3}(?:```|~~~).*?^ {0,3}(?:```|~~~)[ \t]*$)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if index % 2 else COMMENT.sub("", part) for index, part in enumerate(parts))


def ends_hard(line: str) -> bool:
    """Whether this line ends in one of Markdown's own line breaks."""
    return line.endswith(("  ", "\\", "<br>", "<br/>", "<br />"))
