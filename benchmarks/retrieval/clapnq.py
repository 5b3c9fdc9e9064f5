"""ClapNQ: questions that people typed into a search engine, and the Wikipedia passage that answers each.

Each passage is a document under its title. A hit is one of its passages that holds a sentence of the answer, or any
where the answer has no sentences of its own.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from . import answers
from .answers import Asked, measure_answers, tell_refusals
from .corpus import ingest_all
from .ranks import IsHit, measure_search

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Questions:
    answerable: list[Record]
    unanswerable: list[Record]

    @property
    def questions(self) -> list[str]:
        return [record["input"] for record in [*self.answerable, *self.unanswerable]]


def read(data: Path) -> Questions | None:
    paths = [data / "rag" / f"clapnq_{kind}_a.jsonl" for kind in ("answerable", "unanswerable")]
    for path in paths:
        if not path.is_file():
            print(f"skipped ClapNQ: there is no {path}")
            return None
    return Questions(*([json.loads(line) for line in path.read_text().splitlines()] for path in paths))


def measure(asked: Questions, *, others: Sequence[str]) -> None:
    from apps.knowledge.models import Chunk

    texts = passages(asked)
    print(f"\nClapNQ: {len(texts)} passages, {len(asked.answerable)} questions that they answer")
    names = {text: f"{number}.md" for number, text in enumerate(texts)}
    documents = ingest_all([(names[text], f"# {title}\n\n{text}\n".encode()) for text, title in texts.items()])
    chunks = {chunk.id: (chunk.document_id, letters(chunk.text)) for chunk in Chunk.objects.only("document_id", "text")}

    def is_hit(record: Record) -> IsHit:
        document, wanted = documents[names[record["passages"][0]["text"]]], answer_sentences(record)

        def holds(chunk_id: UUID) -> bool:
            document_id, text = chunks[chunk_id]
            return document_id == document.id and (not wanted or any(sentence in text for sentence in wanted))

        return holds

    def is_answer(record: Record) -> Callable[[str], bool]:
        wanted = answer_sentences(record)
        return lambda said: any(sentence in letters(said) or letters(said) in sentence for sentence in wanted)

    questions = [Asked(record["input"], is_answer(record), is_hit(record)) for record in asked.answerable]
    measure_search([(each.question, each.is_hit) for each in questions])
    kept = measure_answers(questions)
    unrelated = answers.read("asking about other things", others)
    unanswerable = answers.read("asking what they don't answer", [record["input"] for record in asked.unanswerable])
    if not others:
        print("  skipped questions about other things: there is no rag/squad24.json")
    tell_refusals(kept, {"about other things": unrelated, "unanswerable": unanswerable})


def passages(asked: Questions) -> dict[str, str]:
    """Titles by text; the same passage may answer two questions."""
    records = [*asked.answerable, *asked.unanswerable]
    return {passage["text"]: passage["title"] for record in records for passage in record["passages"]}


def answer_sentences(record: Record) -> list[str]:
    return [wanted for sentence in record["output"][0]["selected_sentences"] if (wanted := letters(sentence))]


def letters(text: str) -> str:
    """Without spaces and punctuation, which the collection's texts and its sentences don't share."""
    return "".join(filter(str.isalnum, text))
