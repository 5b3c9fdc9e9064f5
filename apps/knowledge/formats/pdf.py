"""PDF to light Markdown with the offset of each page: by pdfium, or by pypdf for files that pdfium refuses."""

import ctypes
import re
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from .errors import ParseError
from .layout import Line, compose
from .plain import clean

PASSWORD_ERRORS = {raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY}
BOLD = 600  # the CSS weight from which a face looks bold
# A visible hyphen that breaks a word is this character in pdfium's text, and nothing else is.
BREAK = "\ufffe"
FRAGMENT = re.compile(rf"[^\r\n{BREAK}]+{BREAK}?")
# Stamps and page numbers on scanned pages make a few letters; a page of words has far more.
FEW_LETTERS = 8
INFLATED_MB = 75  # where pypdf stops inflating a stream
# What a program put there by itself: the name of a file, or the address of a printed page.
NO_TITLE = re.compile(
    r"\.(?:docx?|rtf|odt|pdf|tex|dvi|indd|qxd|pptx?|xlsx?|html?)$|^(?:about|https?|file|data):", re.IGNORECASE
)


def read_pdf(path: Path) -> tuple[str, str | None, list[int]]:
    """Text as light Markdown, its title if it names one, and the offset at which each page begins.

    Raises ParseError: password, scan, no_text, damaged.
    """
    try:
        with pdfium.PdfDocument(path) as document:
            pages = [list(lines(page)) for page in document]
            if letters(pages) < FEW_LETTERS * len(pages):
                pictures = sum(has_picture(page) for page in document)
                if letters(pages) == 0 or pictures > len(pages) / 2:
                    raise ParseError("scan" if pictures else "no_text")
            title = document.get_metadata_value("Title")
    except pdfium.PdfiumError as error:
        raise ParseError("password" if error.err_code in PASSWORD_ERRORS else "damaged") from error
    return finished(pages, title)


def read_pdf_slowly(path: Path) -> tuple[str, str | None, list[int]]:
    """The same by pypdf, which repairs other faults than pdfium and refuses streams that inflate without end.

    It knows no positions: a line's number and length stand in for them. Raises ParseError, "bomb" too.
    """
    from pypdf import PdfReader
    from pypdf.errors import FileNotDecryptedError, LimitReachedError, WrongPasswordError

    try:
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise ParseError("password")
        pages = [list(lines_by_number(clean(page.extract_text()))) for page in reader.pages]
        title = reader.metadata.title if reader.metadata else None
    except (FileNotDecryptedError, WrongPasswordError) as error:
        raise ParseError("password") from error
    except LimitReachedError as error:
        raise ParseError("bomb", limit=INFLATED_MB) from error
    except (ParseError, MemoryError):
        raise
    except Exception as error:  # pypdf meets damage with KeyError, ValueError, RecursionError and more
        raise ParseError("damaged") from error
    if letters(pages) == 0:
        raise ParseError("scan" if any(page.images for page in reader.pages) else "no_text")
    return finished(pages, title)


def lines_by_number(text: str) -> Iterator[Line]:
    for number, line in enumerate(text.split("\n")):
        if line.strip():
            broken = re.search(r"[a-z]-$", line) is not None
            shown = line.strip().removesuffix("-") if broken else line.strip()
            yield Line(text=shown, left=0, right=len(line) * 5, base=-number * 12, size=10, broken=broken)


def finished(pages: list[list[Line]], title: str | None) -> tuple[str, str | None, list[int]]:
    text, starts = compose(pages)
    title = " ".join(clean(title or "").split()).removeprefix("Microsoft Word - ")
    if len(title) < 3 or title.lower() in {"untitled", "document", "title"} or NO_TITLE.search(title):
        title = title_of_page(text[: starts[1] if len(starts) > 1 else None])
    return text, title or None, starts


def title_of_page(text: str) -> str:
    """The highest heading of the first page, unless it is a numbered section."""
    headings = re.findall(r"^(#+) (.+)", text, re.MULTILINE)
    highest = min(headings, key=lambda heading: len(heading[0]), default=("", ""))[1]
    return "" if re.match(r"\d", highest) else highest


def letters(pages: list[list[Line]]) -> int:
    return sum(sum(map(str.isalnum, line.text)) for page in pages for line in page)


def has_picture(page: pdfium.PdfPage) -> bool:
    return next(page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=3), None) is not None


def lines(page: pdfium.PdfPage) -> Iterator[Line]:
    """The lines of a page in the order of the file, with their places; what lies outside the page is left out."""
    left, bottom, right, top = page.get_bbox()
    textpage = page.get_textpage()
    whole = textpage.get_text_range()
    # pdfium counts in UTF-16, where these characters take two places.
    astral = [index for index, character in enumerate(whole) if character > "\uffff"]
    for match in FRAGMENT.finditer(whole):
        text = match[0].rstrip(BREAK)
        if not text.strip():
            continue
        first = match.start() + len(text) - len(text.lstrip())
        last = match.start() + len(text.rstrip()) - 1
        first = raw.FPDFText_GetCharIndexFromTextIndex(textpage, first + bisect_left(astral, first))
        last = raw.FPDFText_GetCharIndexFromTextIndex(textpage, last + bisect_left(astral, last))
        if first < 0 or last < first:
            continue
        start, end = box(textpage, first), box(textpage, last)
        middle_x, middle_y = (start.left + end.right) / 2, (start.top + end.bottom) / 2
        if left <= middle_x <= right and bottom <= middle_y <= top:
            yield measured(textpage, clean(text).strip(), first, last, broken=match[0].endswith(BREAK))


def measured(textpage: pdfium.PdfTextPage, text: str, first: int, last: int, *, broken: bool) -> Line:
    start, end, middle = box(textpage, first), box(textpage, last), (first + last) // 2
    turn = round(raw.FPDFText_GetCharAngle(textpage, middle) / 1.5708) % 4
    x, y = ctypes.c_double(), ctypes.c_double()
    raw.FPDFText_GetCharOrigin(textpage, middle, x, y)
    # Seen along its own direction, every line runs from left to right.
    across = (start.left, start.bottom, -start.right, -start.top)[turn]
    until = (end.right, end.top, -end.left, -end.bottom)[turn]
    base = (y.value, -x.value, -y.value, x.value)[turn]
    return Line(
        text=text,
        left=across,
        right=until,
        base=base,
        size=font_size(textpage, middle),
        bold=all(raw.FPDFText_GetFontWeight(textpage, index) >= BOLD for index in (first, middle, last)),
        broken=broken,
        turn=turn,
    )


def box(textpage: pdfium.PdfTextPage, index: int) -> raw.FS_RECTF:
    rect = raw.FS_RECTF()
    raw.FPDFText_GetLooseCharBox(textpage, index, rect)
    return rect


def font_size(textpage: pdfium.PdfTextPage, index: int) -> float:
    """Size as printed: many programs write size 1 and scale it by the text matrix."""
    matrix = raw.FS_MATRIX()
    raw.FPDFText_GetMatrix(textpage, index, matrix)
    scale = (matrix.c**2 + matrix.d**2) ** 0.5
    return round(raw.FPDFText_GetFontSize(textpage, index) * (scale or 1), 1)
