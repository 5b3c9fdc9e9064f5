"""A corpus to search in, in BEIR's layout: corpus.jsonl, queries.jsonl and qrels/test.tsv in a folder.

    corpus.jsonl      {"_id": "d1", "title": "Leave", "text": "..."}
    queries.jsonl     {"_id": "q1", "text": "How many days?", "answer": "28 days"}
    qrels/test.tsv    query-id <tab> corpus-id <tab> score, under a line with those names

A query may go without an answer.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .bad import Bad, shown
from .nodes import Node

CORPORA = Path(__file__).parent / "corpora"
QRELS_HEADER = ["query-id", "corpus-id", "score"]


@dataclass(frozen=True, slots=True)
class CorpusDocument:
    id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Query:
    """`relevant` are the ids of the right documents; `answer`, where there is one, stands in at least one of them."""

    id: str
    text: str
    answer: str
    line: int
    relevant: frozenset[str]


@dataclass(frozen=True, slots=True)
class Corpus:
    name: str
    folder: Path
    documents: tuple[CorpusDocument, ...]
    queries: tuple[Query, ...]
    checksum: str


def read(node: Node) -> Corpus:
    """The corpus that a suite names. Raises Bad at the suite's line or at the corpus's own."""
    name = node.text()
    folder = CORPORA / name
    if not folder.resolve().is_relative_to(CORPORA.resolve()) or not folder.is_dir():
        there = ", ".join(sorted(path.name for path in CORPORA.glob("*/"))) or "none"
        raise node.bad(f"there is no corpus {name!r}", f"Folders in {shown(CORPORA)}: {there}.")
    return read_folder(folder)


def read_folder(folder: Path) -> Corpus:
    """Raises Bad."""
    documents = read_documents(folder / "corpus.jsonl")
    by_id = {document.id: document for document in documents}
    asked = dict(entries(folder / "queries.jsonl", ("_id", "text"), ("answer", "metadata")))
    relevant = read_qrels(
        folder / "qrels" / "test.tsv", queries={entry["_id"] for entry in asked.values()}, documents=by_id
    )
    queries: list[Query] = []
    for line, entry in asked.items():
        query = Query(
            entry["_id"], entry["text"], entry.get("answer", ""), line, frozenset(relevant.get(entry["_id"], ()))
        )
        path = folder / "queries.jsonl"
        if not query.relevant:
            raise Bad.at(path, line, f"no document is right for {query.id!r}", "Add its line to qrels/test.tsv.")
        if query.answer and not any(holds(by_id[each].text, query.answer) for each in query.relevant):
            mend = "Write it as the document does, or leave `answer` out."
            raise Bad.at(path, line, f"no right document holds the answer {query.answer!r}", mend)
        if any(other.text == query.text for other in queries):
            raise Bad.at(
                path, line, f"{query.text!r} is asked twice", "Keep one, with both documents in qrels/test.tsv."
            )
        queries.append(query)
    if not queries:
        raise Bad.at(folder / "queries.jsonl", 1, "asks nothing", "Write one JSON object a line.")
    return Corpus(folder.name, folder, documents, tuple(queries), digest(folder))


def read_documents(path: Path) -> tuple[CorpusDocument, ...]:
    documents: dict[str, CorpusDocument] = {}
    lines: dict[str, int] = {}
    for line, entry in entries(path, ("_id", "title", "text"), ("metadata",)):
        if entry["text"] in lines:
            raise Bad.at(path, line, f"has the text of line {lines[entry['text']]}", "Keep one of the two.")
        lines[entry["text"]] = line
        documents[entry["_id"]] = CorpusDocument(entry["_id"], entry["title"], entry["text"])
    if not documents:
        raise Bad.at(path, 1, "holds no documents", "Write one JSON object a line.")
    return tuple(documents.values())


def entries(path: Path, required: tuple[str, ...], optional: tuple[str, ...]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSONL file by their lines; no id twice."""
    seen: dict[str, int] = {}
    for number, line in lines_of(path):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as error:
            raise Bad.at(path, number, f"is not JSON ({error.msg})", "Write one JSON object a line.") from error
        if not isinstance(entry, dict):
            raise Bad.at(path, number, "is no object", f"Write {{{', '.join(required)}}}.")
        for name in required:
            if not isinstance(entry.get(name), str) or not entry[name].strip():
                raise Bad.at(path, number, f"has no text as {name!r}", f"An entry has {', '.join(required)}.")
        if unknown := entry.keys() - {*required, *optional}:
            raise Bad.at(path, number, f"has {min(unknown)!r}", f"Known are: {', '.join((*required, *optional))}.")
        if not isinstance(entry.get("answer", ""), str):
            raise Bad.at(path, number, "its answer is no text", "Write the words that the document has.")
        if entry["_id"] in seen:
            raise Bad.at(
                path, number, f"the id {entry['_id']!r} is that of line {seen[entry['_id']]}", "Give it another."
            )
        seen[entry["_id"]] = number
        yield number, entry


def read_qrels(path: Path, *, queries: set[str], documents: dict[str, CorpusDocument]) -> dict[str, set[str]]:
    """The right documents of each query: those with a score above 0."""
    relevant: dict[str, set[str]] = {}
    for number, line in lines_of(path):
        parts = line.split("\t")
        if number == 1 and parts == QRELS_HEADER:
            continue
        if number == 1 or len(parts) != 3 or not parts[2].isdigit():
            mend = f"Begin with {' <tab> '.join(QRELS_HEADER)}, then one such line for each pair, with a whole score."
            raise Bad.at(path, number, f"reads {line!r}", mend)
        query, document, score = parts
        if query not in queries:
            raise Bad.at(path, number, f"there is no query {query!r}", "Use an _id of queries.jsonl.")
        if document not in documents:
            raise Bad.at(path, number, f"there is no document {document!r}", "Use an _id of corpus.jsonl.")
        if int(score):
            relevant.setdefault(query, set()).add(document)
    return relevant


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    try:
        lines = path.read_text().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Bad(
            shown(path), f"can't be read ({error})", "A corpus has corpus.jsonl, queries.jsonl, qrels/test.tsv."
        ) from error
    return ((number, line) for number, line in enumerate(lines, 1) if line.strip())


def holds(text: str, words: str) -> bool:
    """Whether `words` stand in `text`, in any case and however its lines are broken."""
    return " ".join(words.casefold().split()) in " ".join(text.casefold().split())


def digest(folder: Path) -> str:
    summary = hashlib.sha256()
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv"):
        summary.update((folder / name).read_bytes())
    return summary.hexdigest()[:16]
