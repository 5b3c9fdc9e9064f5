"""An uploaded file to text, in a process that can be killed.

    sniff(head, filename) -> kind    by the first bytes and the name
    parse(path, kind) -> Parsed      light Markdown with the offsets of pages

Files come from strangers and parsers have bugs, so each is read by a process of its own: apps.tenants.uploads.sandbox.
"""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import IO, Any

from apps.tenants.uploads.encoding import is_binary
from apps.tenants.uploads.sandbox import Died, Limits, confined

from .formats.errors import ParseError

__all__ = ["LIMITS", "Limits", "ParseError", "Parsed", "parse", "sniff"]

KINDS = {
    ".pdf": "pdf",
    ".docx": "docx",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".md": "md",
    ".markdown": "md",
    ".txt": "txt",
    ".text": "txt",
    "": "txt",
}
OTHERS = {
    ".doc": "Word documents of the old .doc format",
    ".xls": "Excel workbooks",
    ".xlsx": "Excel workbooks",
    ".ppt": "PowerPoint presentations",
    ".pptx": "PowerPoint presentations",
    ".odt": "OpenDocument texts",
    ".rtf": "RTF documents",
    ".epub": "E-books",
    ".pages": "Pages documents",
    ".zip": "Archives",
    ".png": "Pictures",
    ".jpg": "Pictures",
    ".jpeg": "Pictures",
}
PDF_MARK = b"%PDF-"
ZIP_MARK = b"PK\x03\x04"
OLE_MARK = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
RTF_MARK = b"{\\rtf"


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Parsed:
    """`text` is light Markdown; `page_starts` holds the offset at which each page begins, if the format has pages."""

    text: str
    title: str | None
    page_starts: list[int]


def sniff(head: bytes, filename: str) -> str:
    """The kind of a file ("pdf", "docx", "html", "md" or "txt") by its first bytes, 8 KB or so, and its name.

    Raises ParseError: empty, unsupported, not_a_pdf, not_a_docx, not_text, password, locked_or_old.
    """
    extension = PurePath(filename).suffix.lower()
    kind = KINDS.get(extension)
    if not head:
        raise ParseError("empty")
    # Other programs may write up to 1,024 bytes before a PDF begins; a text may merely speak of the mark.
    if head.startswith(PDF_MARK) or (kind == "pdf" and PDF_MARK in head[:1024]):
        return "pdf"
    if kind is None:
        raise ParseError("unsupported", what=OTHERS.get(extension, f"{extension} files"))
    if kind == "pdf":
        raise ParseError("not_a_pdf")
    if kind == "docx":
        # A protected document is an OLE file that holds the encrypted one; so is a .doc under another name.
        if head.startswith(OLE_MARK):
            raise ParseError("password" if "EncryptedPackage".encode("utf-16-le") in head else "locked_or_old")
        if not head.startswith(ZIP_MARK):
            raise ParseError("not_a_docx")
        return kind
    if head.startswith(RTF_MARK):
        raise ParseError("unsupported", what=OTHERS[".rtf"])
    if is_binary(head):
        raise ParseError("not_text", extension=extension or "without an extension")
    return kind


def parse(path: Path, kind: str, *, limits: Limits = LIMITS) -> Parsed:
    """Read the file at `path` as `kind`. Blocks for at most `limits.wall_s` seconds.

    A PDF that the first reader can't read, or dies of, is given to the second in the time that is left.
    Raises ParseError.
    """
    if not path.is_file():
        raise ParseError("missing")
    deadline = time.monotonic() + limits.wall_s
    try:
        return read(path, kind, deadline, limits)
    except ParseError as error:
        if kind != "pdf" or error.code not in {"damaged", "too_heavy"}:
            raise
        return read(path, "pdf-slowly", deadline, limits)


def read(path: Path, reader: str, deadline: float, limits: Limits) -> Parsed:
    """Run one reader in its process and take what it wrote."""
    arguments = [reader, str(path), json.dumps(asdict(limits))]
    try:
        with confined("apps.knowledge.formats", arguments, until=deadline) as output:
            return outcome(output)
    except Died as died:
        raise fault(died, deadline, limits) from died


def fault(died: Died, deadline: float, limits: Limits) -> ParseError:
    if died.is_slow:
        return ParseError("too_slow", limit=limits.wall_s if time.monotonic() >= deadline else limits.cpu_s)
    if died.is_heavy:
        return ParseError("too_heavy", limit=limits.memory_mb)
    return ParseError("damaged")


def outcome(output: IO[bytes]) -> Parsed:
    try:
        said: dict[str, Any] = json.load(output)
        if "error" in said:
            raise ParseError(said["error"], **said["values"])
        return Parsed(text=said["text"], title=said["title"], page_starts=said["page_starts"])
    except (ValueError, KeyError, TypeError) as error:
        raise ParseError("damaged") from error
