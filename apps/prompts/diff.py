"""What differs between two texts: lines, and the words inside lines that were rewritten."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby
from typing import Literal

WORD = re.compile(r"\s+|\w+|[^\w\s]")
ALIKE = 0.4  # lines that share less than this are another line rather than a rewritten one
CONTEXT = 3  # unchanged lines that are shown around a change

Kind = Literal["same", "removed", "added", "gap"]


@dataclass(frozen=True, slots=True)
class Part:
    text: str
    is_changed: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """`before` and `after` are the line's numbers, from 1, in each text. A "gap" stands for lines left out."""

    kind: Kind
    parts: tuple[Part, ...]
    before: int | None = None
    after: int | None = None


def diff(before: str, after: str) -> list[Line]:
    """The lines of both, removed before added; of what is the same, those near a change. [] if nothing differs."""
    old, new = before.split("\n"), after.split("\n")
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    groups = list(matcher.get_grouped_opcodes(CONTEXT))
    lines: list[Line] = []
    for number, group in enumerate(groups):
        if number or group[0][1]:
            lines.append(Line("gap", ()))
        for tag, old_from, old_to, new_from, new_to in group:
            if tag == "equal":
                lines += (
                    Line("same", (Part(old[old_from + step]),), old_from + step + 1, new_from + step + 1)
                    for step in range(old_to - old_from)
                )
            else:
                lines += changed(old[old_from:old_to], new[new_from:new_to], old_from + 1, new_from + 1)
    if groups and groups[-1][-1][2] < len(old):
        lines.append(Line("gap", ()))
    return lines


def changed(old: list[str], new: list[str], old_number: int, new_number: int) -> Iterator[Line]:
    """A run of lines in the place of another: line by line what was rewritten, as far as both go."""
    pairs = [words(one, other) for one, other in zip(old, new, strict=False)]
    for step, text in enumerate(old):
        yield Line("removed", pairs[step][0] if step < len(pairs) else (Part(text),), before=old_number + step)
    for step, text in enumerate(new):
        yield Line("added", pairs[step][1] if step < len(pairs) else (Part(text),), after=new_number + step)


def words(old: str, new: str) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    ours, theirs = WORD.findall(old), WORD.findall(new)
    matcher = SequenceMatcher(None, ours, theirs, autojunk=False)
    if matcher.ratio() < ALIKE:
        return (Part(old),), (Part(new),)
    codes = matcher.get_opcodes()
    left = joined(Part("".join(ours[a:b]), tag != "equal") for tag, a, b, _, _ in codes)
    right = joined(Part("".join(theirs[c:d]), tag != "equal") for tag, _, _, c, d in codes)
    return left, right


def joined(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Neighbours of one kind as one."""
    kinds = groupby((part for part in parts if part.text), key=lambda part: part.is_changed)
    return tuple(Part("".join(part.text for part in each), is_changed) for is_changed, each in kinds)
