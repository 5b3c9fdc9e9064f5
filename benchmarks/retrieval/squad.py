"""SQuAD: Wikipedia articles, and questions that were written with a paragraph in view.

A hit is a passage that contains the answer's place in full.
"""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any
from uuid import UUID

from . import answers
from .answers import Asked, Read, measure_answers, tell_refusals
from .corpus import ingest_all
from .ranks import IsHit, measure_search

Question = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Articles:
    """Texts by title; what is asked about them, what else could be, and what they don't answer."""

    texts: dict[str, str]
    asked: list[Question]
    more: list[Question]
    unanswerable: list[str]

    @property
    def questions(self) -> list[str]:
        return [each["question"] for each in self.asked]

    def is_tuned_on(self, question: Question) -> bool:
        """Half of the articles are for tuning, every other one by title."""
        return sorted(self.texts).index(question["doc"]) % 2 == 0


def read(data: Path) -> Articles | None:
    path = data / "rag" / "squad24.json"
    if not path.is_file():
        print(f"skipped SQuAD: there is no {path}")
        return None
    squad = json.loads(path.read_text())
    return Articles(
        texts={title: article["text"] for title, article in squad["docs"].items()},
        asked=squad["questions"],
        more=squad.get("extra_questions", []),
        unanswerable=[each["question"] for each in squad.get("unanswerable", [])],
    )


def measure(articles: Articles, *, others: Sequence[str]) -> None:
    print(f"SQuAD: {len(articles.texts)} articles, {len(articles.asked)} questions")
    asked = ask(articles, articles.asked)
    measure_search([(each.question, each.is_hit) for each in asked])
    kept = measure_answers(asked)
    unrelated = answers.read("asking about other things", others)
    unanswerable = answers.read("asking what they don't answer", articles.unanswerable)
    if not others:
        print("  skipped questions about other things: there are no rag/clapnq_*_a.jsonl")
    tell_refusals(kept, {"about other things": unrelated, "unanswerable": unanswerable})
    tell_halves(articles, kept, unrelated)


def tell_halves(articles: Articles, kept: Sequence[Read], unrelated: Sequence[Read]) -> None:
    from apps.runs.gateway.providers.offline import ANSWERS_FROM_FIT

    for name, is_tuned_on, first in (("tuned on", True, 0), ("not tuned on", False, 1)):
        own = [
            read.fit >= ANSWERS_FROM_FIT
            for each, read in zip(articles.asked, kept, strict=True)
            if articles.is_tuned_on(each) == is_tuned_on
        ]
        refused = [read.fit < ANSWERS_FROM_FIT for read in unrelated[first::2]]
        said = f", refused {mean(refused):.3f}" if refused else ""
        print(f"  in use, on the half {name}: kept {mean(own):.3f}{said}")


def ask(articles: Articles, questions: Sequence[Question]) -> list[Asked]:
    """Ingest the articles into the active workspace, and say what would answer each question."""
    from apps.knowledge.models import Chunk

    files = [(f"{title}.txt", text.encode()) for title, text in articles.texts.items()]
    documents = ingest_all(files)
    for title, text in articles.texts.items():
        if documents[f"{title}.txt"].text != text:
            sys.exit(f"{title}: the text changed in parsing, so the places of the answers are no longer known.")
    chunks = {chunk.id: chunk for chunk in Chunk.objects.only("document_id", "start", "end")}

    def is_hit(question: Question) -> IsHit:
        document, start = documents[f"{question['doc']}.txt"], question["doc_start"]
        end = start + len(question["answer"])

        def contains(chunk_id: UUID) -> bool:
            chunk = chunks[chunk_id]
            return chunk.document_id == document.id and chunk.start <= start and end <= chunk.end

        return contains

    def is_answer(question: Question) -> Callable[[str], bool]:
        return lambda sentence: question["answer"] in sentence

    return [Asked(each["question"], is_answer(each), is_hit(each)) for each in questions]
