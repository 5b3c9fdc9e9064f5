"""How an object is answered: as JSON alone, in a fence, among words, or in words only."""

import json
import re
from typing import Any

from .rules import Rule

FIELD = re.compile(r"\bfields?\b[^\n\"“]{0,40}[\"“`](\w+)[\"”`]")


def field_of(prompt: str) -> str:
    """The name that the prompt gives the object's only field; some name, where it gives none."""
    return found[1] if (found := FIELD.search(prompt)) else "result"


def as_object(value: Any, rules: frozenset[Rule], *, in_words: str) -> str:
    if Rule.JSON not in rules:
        return in_words
    text = json.dumps(value, ensure_ascii=False)
    if Rule.FENCED in rules:
        text = f"```json\n{text}\n```"
    if Rule.ALONE not in rules:
        text = (
            f"{in_words} Here is the result:\n\n```json\n{text}\n```"
            if Rule.FENCED not in rules
            else f"{in_words}\n\n{text}"
        )
    return text
