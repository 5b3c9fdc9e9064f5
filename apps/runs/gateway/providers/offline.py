"""Answers without a model: quotes the sentences of the passages that answer the question, and says that it does.

The default when no provider key is set. It needs the local embedder only, costs nothing, and says no when the
passages don't hold an answer.
"""

import asyncio
import re
import time
from collections.abc import Sequence
from itertools import takewhile

from ..errors import SchemaUnsupported
from ..types import Attempt, Deadlines, FinishReason, OnDelta, Passage, Reply, Request, Target, Usage, estimate_tokens
from .base import Embedder
from .ranking import Ranked, fit, rank
from .sentences import Sentence, sentences

# Below this the passages are about something else. It keeps 95 % of the questions that have an answer, and depends on
# the embedder: `python -m benchmarks.retrieval.calibrate DATA` says how it was found and what another would do.
ANSWERS_FROM_FIT = 0.62

# Which sentences go with the best one.
QUOTES = 3
QUOTE_MARGIN = 0.6
QUOTE_FROM_COSINE = 0.3

QUOTE_LENGTH = 500
LIST_LENGTH = 8
CODE_LINES = 20
FENCE = "```"

LEAD = "Quoting the passages that fit best, word for word, because no model key is configured:"
NO_ANSWER = (
    "I found no answer to that in the documents. No model key is configured, so I can only quote them: "
    "asking in the words that the documents use may help."
)
NO_PASSAGES = (
    "There is nothing in the documents that I could quote for that. No model key is configured, so I answer only "
    "with quotes: upload a document (PDF, Word, HTML, Markdown or text) that covers it and ask again."
)
GREETING = (
    "Hello! Ask me something about the documents of this workspace, and I quote the passages that answer it. "
    "I write nothing of my own, because no model key is configured. New documents can be uploaded at any time."
)
GREETS = re.compile(
    r"\W*(hi|hello|hey|hiya|howdy|greetings|good (morning|afternoon|evening|day)|thanks?|thank you|cheers|ok(ay)?|"
    r"test(ing)?|help|who are you|what are you|what can you do|how are you)"
    r"( (there|you|all|doing|(so|very) much))*\W*",
    re.IGNORECASE,
)


class OfflineProvider:
    """The extractive answerer. Deadlines don't apply: it waits for nobody."""

    name = "offline"
    model = "extractive-1"

    def __init__(self, embedder: Embedder, *, word_delay_s: float = 0.004) -> None:
        self.embedder = embedder
        self.word_delay_s = word_delay_s  # so that it reads as an answer being written

    async def complete(self, request: Request, model: str, on_delta: OnDelta, deadlines: Deadlines) -> Reply:
        """See Provider. Fails if an answer must follow a schema, or the embedding model is missing (ModelMissing)."""
        began = time.monotonic()
        target = Target(self.name, model)
        if request.schema is not None:
            raise SchemaUnsupported(target, detail="without a model key there are only quotes, no structured answers")
        answer = await asyncio.to_thread(self.answer, question_of(request), request.passages)

        said: list[str] = []
        finish_reason: FinishReason = "stop"
        ttft_ms = elapsed_ms(began)
        for word in re.findall(r"\S+\s*", answer):
            if estimate_tokens("".join(said) + word) > request.max_output_tokens:
                finish_reason = "length"
                break
            said.append(word)
            await on_delta(word)
            await asyncio.sleep(self.word_delay_s)

        text = "".join(said)
        usage = Usage.estimate(request, text)
        latency_ms = elapsed_ms(began)
        return Reply(
            text=text,
            target=target,
            model_answered=model,
            usage=usage,
            finish_reason=finish_reason,
            request_id="",
            ttft_ms=ttft_ms,
            latency_ms=latency_ms,
            attempts=(Attempt(target, "ok", latency_ms, usage),),
        )

    def answer(self, question: str, passages: Sequence[Passage]) -> str:
        """The whole answer in Markdown, citing passages as [number]."""
        if not question.strip() or GREETS.fullmatch(question):
            return GREETING
        if not passages:
            return NO_PASSAGES
        ranked = rank(question, passages, self.embedder)
        if fit(question, ranked) < ANSWERS_FROM_FIT:
            return NO_ANSWER
        return "\n\n".join([LEAD, *(quote(group) for group in by_passage(chosen(ranked)))])


def question_of(request: Request) -> str:
    if request.question:
        return request.question
    return next((message.content for message in reversed(request.messages) if message.role == "user"), "")


def chosen(ranked: Sequence[Ranked]) -> list[Ranked]:
    """The best sentence and up to two that are nearly as good, none twice."""
    best, found = ranked[0], [ranked[0]]
    for candidate in ranked[1:]:
        close = candidate.score >= best.score - QUOTE_MARGIN and candidate.cosine >= QUOTE_FROM_COSINE
        if len(found) == QUOTES or not close:
            break
        if all(candidate.sentence.text != other.sentence.text for other in found):
            found.append(candidate)
    return found


def by_passage(found: Sequence[Ranked]) -> list[list[Ranked]]:
    """Sentences of one passage together in reading order; the passage of the best sentence first."""
    groups: dict[int, list[Ranked]] = {}
    for candidate in found:
        groups.setdefault(candidate.passage.number, []).append(candidate)
    return [sorted(group, key=lambda candidate: candidate.position) for group in groups.values()]


def quote(group: Sequence[Ranked]) -> str:
    """The chosen sentences of one passage as a Markdown blockquote that ends with the passage's number."""
    whole = sentences(group[0].passage.text)
    lines: list[str] = []
    quoted_to: int | None = None  # the position of the last sentence that is in the quote
    for candidate in group:
        if quoted_to is not None and candidate.position <= quoted_to:
            continue
        new = block(candidate.sentence)
        if lines and lines[-1].endswith("”") and new[0].startswith("“"):
            gap = " " if candidate.position - 1 == quoted_to else " … "
            new = [f"{lines.pop()[:-1]}{gap}{new[0][1:]}"]
        lines += new
        quoted_to = candidate.position
        for announced in announced_by(whole, candidate.position):
            lines += block(announced)
            quoted_to += 1
    mark = f"[{group[0].passage.number}]"
    if lines[-1] == FENCE:
        lines.append(mark)
    else:
        lines[-1] += f" {mark}"
    return "\n".join(f"> {line}".rstrip() for line in lines)


def block(sentence: Sentence) -> list[str]:
    if sentence.kind == "code":
        return [FENCE, *sentence.text.split("\n")[:CODE_LINES], FENCE]
    return [f"“{shown(sentence)}”" if sentence.kind == "sentence" else f"- {shown(sentence)}"]


def announced_by(whole: Sequence[Sentence], position: int) -> list[Sentence]:
    """The list, the table or the code that a sentence ending in a colon announces."""
    if whole[position].kind != "sentence" or not whole[position].text.endswith(":"):
        return []
    following = whole[position + 1 : position + 1 + LIST_LENGTH]
    if following and following[0].kind == "code":
        return [following[0]]
    return list(takewhile(lambda sentence: sentence.kind in ("item", "row"), following))


MARKUP = re.compile(r"[\\`*\[\]<>|~#]|(?<!\w)_|_(?!\w)")
NUMBER_IN_BRACKETS = re.compile(r"\[(\d+)\]")


def shown(sentence: Sentence) -> str:
    """The sentence so that Markdown shows it as it is. A footnote mark such as [3] would pass for a citation."""
    text = sentence.text
    if text.count('"') % 2:  # half of a pair whose other half is in another sentence
        text = text.strip('"')
    if len(text) > QUOTE_LENGTH:
        text = f"{text[:QUOTE_LENGTH].rsplit(' ', 1)[0]} …"
    return MARKUP.sub(r"\\\g<0>", NUMBER_IN_BRACKETS.sub(r"(\1)", text))


def elapsed_ms(since: float) -> int:
    return round((time.monotonic() - since) * 1000)
