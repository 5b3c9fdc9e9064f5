"""What a model is given: the prompt, the passages as data, the conversation so far, the question."""

import secrets

from django.conf import settings

from apps.knowledge.search import Hit
from apps.prompts.models import PromptVersion
from apps.prompts.render import render
from apps.runs.gateway.types import Message as Turn
from apps.runs.gateway.types import Passage, Request

from .models import Message

HISTORY_CHARS = 6_000
HISTORY_MESSAGES = 40  # read from the database; a long conversation must not make each question slower
SHORT_QUESTION_WORDS = 4


def build_request(
    question: str, *, hits: list[Hit], history: list[Message], version: PromptVersion, workspace_name: str
) -> Request:
    """Passages stand between markers nobody can guess, so that no document can close them and speak as we do."""
    mark = secrets.token_hex(8)
    begin, end = f"<passages {mark}>", f"</passages {mark}>"
    passages = tuple(
        Passage(
            number=number,
            title=hit.title,
            heading=hit.heading,
            text=hit.text,
            score=hit.score,
            lexical=hit.lexical_score,
        )
        for number, hit in enumerate(hits, start=1)
    )
    system = render(version.body, workspace=workspace_name, begin=begin, end=end)
    listed = "\n\n".join(f"[{passage.number}] {passage.heading}\n{passage.text}" for passage in passages)
    turns = [
        Turn("system", f"{system}\n\n{begin}\n{listed or '(none)'}\n{end}"),
        *recent(history),
        Turn("user", question),
    ]
    return Request(
        messages=tuple(turns),
        max_output_tokens=settings.MAX_OUTPUT_TOKENS,
        passages=passages,
        question=question,
    )


def recent(history: list[Message]) -> list[Turn]:
    """As many of the last turns as fit, oldest first, beginning with a question."""
    kept: list[Turn] = []
    room = HISTORY_CHARS
    for message in reversed(history):
        room -= len(message.text)
        if room < 0:
            break
        if message.text:
            kept.append(Turn("user" if message.role == Message.Role.USER else "assistant", message.text))
    kept.reverse()
    while kept and kept[0].role == "assistant":
        kept.pop(0)
    return kept


def search_query(question: str, history: list[Message]) -> str:
    """What to search for: a question too short to stand alone ("and in May?") brings the one before it."""
    asked = [message.text for message in history if message.role == Message.Role.USER]
    if asked and len(question.split()) < SHORT_QUESTION_WORDS:
        return f"{asked[-1]} {question}"
    return question
