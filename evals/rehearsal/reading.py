"""What the rehearsal model makes of the messages it is sent: who speaks, which passages there are, what is asked."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apps.runs.gateway.types import Passage

MARKER = re.compile(r"<passages (\w+)>")
PASSAGE = re.compile(r"^<passage \[(\d+)\] (\w+)>\n", re.MULTILINE)
REQUEST = re.compile(r"<request (\w+)>")
# The passages come in the order in which they were found, without their scores: each counts this much less.
LESS_EACH = 0.1


@dataclass(frozen=True, slots=True)
class Conversation:
    """`system` is what the prompt says, `instruction` what the last turn adds to it about the answer before it."""

    system: str
    question: str
    passages: tuple[Passage, ...] = ()
    answer: str = ""  # what the assistant said last, if `instruction` is about that
    instruction: str = ""


def read(messages: Sequence[Mapping[str, str]]) -> Conversation:
    """Whatever isn't between the markers that the system prompt names is no passage."""
    system = "\n\n".join(each["content"] for each in messages if each["role"] == "system")
    turns = [each for each in messages if each["role"] != "system"]
    mark = found[1] if (found := MARKER.search(system)) else ""
    asked = [at for at, turn in enumerate(turns) if turn["role"] == "user" and is_question(turns, at, mark)]
    if not asked:
        return Conversation(system, "")
    passages, question = apart(turns[asked[-1]]["content"], mark)
    after = turns[asked[-1] + 1 :]
    said = [turn["content"] for turn in after if turn["role"] == "assistant"]
    told = [turn["content"] for turn in after if turn["role"] == "user"]
    return Conversation(system, question, passages, said[-1] if said else "", told[-1] if told else "")


def is_question(turns: Sequence[Mapping[str, str]], at: int, mark: str) -> bool:
    """Where passages come with questions, a turn without them speaks of the answer; elsewhere all but the first do."""
    return f"<passages {mark}>" in turns[at]["content"] if mark else at == 0


def apart(turn: str, mark: str) -> tuple[tuple[Passage, ...], str]:
    """The passages of a turn, and the question that stands outside them."""
    begin, end = f"<passages {mark}>", f"</passages {mark}>"
    if not mark or begin not in turn or end not in turn:
        return (), turn.strip()
    before, _, rest = turn.partition(begin)
    block, _, after = rest.rpartition(end)
    starts = [found for found in PASSAGE.finditer(block) if found[2] == mark]
    ends = [found.start() for found in starts[1:]] + [len(block)] * bool(starts)
    passages = tuple(
        passage(int(found[1]), block[found.end() : stop]) for found, stop in zip(starts, ends, strict=True)
    )
    return passages, f"{before}{after}".strip()


def passage(number: int, text: str) -> Passage:
    where, _, body = text.strip("\n").partition("\n")
    return Passage(number, where.partition(" > ")[0], where, body, score=1 - LESS_EACH * (number - 1))


def between_lines(turn: str, system: str) -> str:
    """The request that stands between the lines which the system prompt names; all of the turn if it names none."""
    if found := REQUEST.search(system):
        inside = turn.partition(f"<request {found[1]}>")[2].partition(f"</request {found[1]}>")[0]
        return inside.strip() or turn
    return turn
