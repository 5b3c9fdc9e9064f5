"""Puts files into the active workspace as uploads would be, and says how far it is."""

import sys
import time
from collections.abc import Sequence
from typing import Any

SHOWN_EVERY_S = 10.0


class Progress:
    """Says every few seconds how many are done; on a terminal in one line that the next print takes."""

    def __init__(self, what: str, total: int) -> None:
        self.what, self.total, self.done = what, total, 0
        self.shown_at = time.monotonic()

    def step(self) -> None:
        self.done += 1
        now = time.monotonic()
        if self.done < self.total and now - self.shown_at < SHOWN_EVERY_S:
            return
        self.shown_at = now
        if sys.stderr.isatty():
            line = f"  {self.what}: {self.done} of {self.total}"
            print("\r\x1b[K" + (line if self.done < self.total else ""), end="", file=sys.stderr, flush=True)
        elif self.done < self.total:
            print(f"  {self.what}: {self.done} of {self.total}", file=sys.stderr, flush=True)


def ingest_all(files: Sequence[tuple[str, bytes]]) -> dict[str, Any]:
    """Store and ingest each file as an upload would be, and print how fast that was. Documents by the file's name."""
    from django.core.files.base import ContentFile

    from apps.knowledge.add import Notice, store
    from apps.knowledge.ingest import ingest
    from apps.knowledge.models import Document

    began, documents, progress = time.monotonic(), {}, Progress("ingesting files", len(files))
    for name, content in files:
        stored = store(ContentFile(content, name=name), user=None)
        if isinstance(stored, Notice):
            print(f"  left out {name}: {stored.text}")
        else:
            ingest(stored.id)
            documents[name] = Document.objects.get(pk=stored.pk)
        progress.step()
    took_s = time.monotonic() - began
    for document in documents.values():
        if document.status != Document.Status.READY:
            print(f"  failed {document.filename}: {document.error_message}")
    texts = sum(document.chunk_count for document in documents.values())
    print(f"  ingested {len(documents)} files, {texts} passages in {took_s:.1f} s: {texts / took_s:.0f} texts/s")
    return documents
