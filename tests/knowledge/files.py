"""Files of the formats we read, written here so that each test sees what is in them."""

import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from apps.knowledge.parse import ParseError

PAGE_WIDTH, PAGE_HEIGHT = 595, 842
W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
IMAGE = (
    b"/Type /XObject /Subtype /Image /Width 10 /Height 10 /ColorSpace /DeviceGray /BitsPerComponent 8 "
    b"/Filter /FlateDecode"
)
MAIN_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"


@dataclass(frozen=True)
class Text:
    """One line on a PDF page: `x` and `y` in points from the lower left corner."""

    text: str
    x: float = 72
    y: float = 700
    size: float = 10
    bold: bool = False


def column(*texts: str, x: float = 72, top: float = 700, size: float = 10) -> list[Text]:
    """Lines below each other."""
    return [Text(text, x, top - number * 1.2 * size, size) for number, text in enumerate(texts)]


def pdf(*pages: Sequence[Text], title: str = "", picture: bool = False, content: bytes | None = None) -> bytes:
    """A PDF of the given pages. picture: each shows an image. content: a deflated stream in place of the pages' own."""
    objects: list[bytes] = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
        f"<< /Title ({title}) >>".encode("cp1252"),
        wrapped(zlib.compress(b"\x80" * 100), IMAGE),
    ]
    numbers = []
    for page in pages:
        drawn = b"".join(draw(line) for line in page) + (b"q 400 0 0 500 80 100 cm /Im1 Do Q\n" if picture else b"")
        objects.append(wrapped(zlib.compress(drawn) if content is None else content, b"/Filter /FlateDecode"))
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {PAGE_WIDTH} {PAGE_HEIGHT}] /Contents {len(objects)} 0 R "
            "/Resources << /Font << /F1 3 0 R /F2 4 0 R >> /XObject << /Im1 6 0 R >> >> >>".encode()
        )
        numbers.append(len(objects))
    kids = " ".join(f"{number} 0 R" for number in numbers)
    objects[1] = f"<< /Type /Pages /Kids [{kids}] /Count {len(numbers)} >>".encode()
    return assembled(objects)


def draw(line: Text) -> bytes:
    shown = line.text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)").encode("cp1252")
    return b"BT /%s %g Tf %g %g Td (%s) Tj ET\n" % (b"F2" if line.bold else b"F1", line.size, line.x, line.y, shown)


def wrapped(deflated: bytes, entries: bytes) -> bytes:
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(deflated), entries, deflated)


def assembled(objects: Sequence[bytes]) -> bytes:
    out = bytearray(b"%PDF-1.7\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer << /Size %d /Root 1 0 R /Info 5 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, table)
    return bytes(out)


def deflated_zeros(size_mb: int) -> bytes:
    """A deflate stream of about a thousandth of what it inflates to."""
    packer = zlib.compressobj(9)
    block = b" " * 2**20
    return b"".join([*(packer.compress(block) for _ in range(size_mb)), packer.flush()])


def docx(body: str, *, styles: str = "", footnotes: str = "", title: str = "") -> bytes:
    """A Word file with this body of WordprocessingML. The archive holds only what a reader of text needs."""
    types = f'<Types><Override PartName="/word/document.xml" ContentType="{MAIN_TYPE}"/></Types>'
    parts = {
        "[Content_Types].xml": types,
        "word/document.xml": f"<w:document {W}><w:body>{body}</w:body></w:document>",
        "word/styles.xml": f"<w:styles {W}>{styles}</w:styles>",
        "word/footnotes.xml": f"<w:footnotes {W}>{footnotes}</w:footnotes>",
        "docProps/core.xml": f'<p:core xmlns:p="p" xmlns:dc="dc"><dc:title>{title}</dc:title></p:core>',
    }
    return zipped(parts)


def zipped(parts: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return out.getvalue()


def paragraph(text: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t xml:space='preserve'>{text}</w:t></w:r></w:p>"


def refusal(function, *arguments, **options) -> ParseError:
    with pytest.raises(ParseError) as caught:
        function(*arguments, **options)
    return caught.value
