"""Reads one file and writes its text as JSON to standard output: `python -m apps.knowledge.formats KIND PATH LIMITS`.

Started by apps.knowledge.parse. It bounds itself before it opens the file or imports a parser.
"""

import json
import sys
import unicodedata
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from apps.tenants.uploads.bounds import bound

from .errors import ParseError


def read(kind: str, path: Path) -> tuple[str, str | None, list[int]]:
    if kind == "pdf":
        from .pdf import read_pdf

        return read_pdf(path)
    if kind == "pdf-slowly":
        from .pdf import read_pdf_slowly

        return read_pdf_slowly(path)
    if kind == "docx":
        from .docx import read_docx

        return (*read_docx(path), [])
    if kind == "html":
        from .html import read_html

        return (*read_html(path.read_bytes()), [])
    from .plain import read_markdown, read_text

    return (*(read_markdown if kind == "md" else read_text)(path.read_bytes()), [])


def answer(kind: str, path: Path, limits: dict[str, int]) -> dict[str, Any]:
    try:
        text, title, page_starts = read(kind, path)
        if len(text) > limits["text_chars"]:
            raise ParseError("too_much_text", limit=limits["text_chars"])
        if not any(map(str.isalnum, text)):
            raise ParseError("no_text")
    except MemoryError:
        return {"error": "too_heavy", "values": {"limit": limits["memory_mb"]}}
    except ParseError as error:
        return {"error": error.code, "values": error.values}
    text, page_starts = composed(text, page_starts)
    return {"text": text, "title": title[:300] if title else None, "page_starts": page_starts}


def composed(text: str, page_starts: list[int]) -> tuple[str, list[int]]:
    """NFC, page by page: joining lines may have brought a letter and its accent together."""
    edges = [*(page_starts or [0]), len(text)]
    pages = [unicodedata.normalize("NFC", text[start:end]) for start, end in pairwise(edges)]
    starts = list(accumulate(map(len, pages[:-1]), initial=0))
    return "".join(pages), starts if page_starts else []


def main() -> None:
    kind, path, limits = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
    bound(limits)
    json.dump(answer(kind, path, limits), sys.stdout, ensure_ascii=False)


if __name__ == "__main__":
    main()
