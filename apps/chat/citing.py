"""Marks such as [2] in an answer, and the passages they point at."""

import re
from collections.abc import Sequence

from apps.knowledge.search import Hit

MARK = re.compile(r"\[(\d{1,2}(?:, ?\d{1,2})*)\]")  # [2], and [1, 3] as some models write


def cited(text: str, hits: Sequence[Hit | None]) -> dict[int, Hit]:
    """The passages that `text` marks, by their numbers, in that order. A mark that points at nothing is plain text."""
    numbers = sorted({int(number) for mark in MARK.findall(text) for number in mark.split(",")})
    return {number: hit for number in numbers if 1 <= number <= len(hits) and (hit := hits[number - 1])}
