"""Reads JSON that isn't quite: in a fence or among words, with Python's names and quotes, with its end missing."""

import ast
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

FENCED = re.compile(r"```[a-zA-Z]*\s*\n?(.*?)(?:```|\Z)", re.DOTALL)
STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
OUTSIDE_STRINGS = (
    (re.compile(r"//[^\n]*|#[^\n]*|/\*.*?\*/", re.DOTALL), ""),
    (re.compile(r"\bTrue\b"), "true"),
    (re.compile(r"\bFalse\b"), "false"),
    (re.compile(r"\b(?:None|undefined|NaN)\b"), "null"),
    (re.compile(r"([{,]\s*)([A-Za-z_]\w*)(\s*:)"), r'\1"\2"\3'),
    (re.compile(r",(\s*[}\]])"), r"\1"),
)
ITS_VALUE = (
    r"[\"'*`]*(?:\s*(?:is|are|=|:|–|->))+\s*[\"'*`]*([^\n\"'*`]+?)[\"'*`]*\s*"
    r"(?=,\s+\w+\s*(?:is\b|are\b|=|:)|[;.](?:\s|$)|\n|$)"
)


def read(text: str, fields: Iterable[str]) -> dict[str, Any]:
    """The object in a text; where there is none, what it says of each of `fields` in words."""
    for candidate in candidates(text):
        if (found := loaded(candidate)) is not None:
            return found
    return spoken(text, fields)


def candidates(text: str) -> Iterator[str]:
    yield from (block for block in FENCED.findall(text) if "{" in block)
    first, last = text.find("{"), text.rfind("}")
    if 0 <= first < last:
        yield text[first : last + 1]
    if first >= 0:
        yield text[first:]


def loaded(text: str) -> dict[str, Any] | None:
    text = text.strip()
    for attempt in (json.loads, lambda it: json.loads(closed(straightened(it))), ast.literal_eval):
        try:
            value = attempt(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, dict):
            return value
    return None


def straightened(text: str) -> str:
    """Names, commas and comments as JSON has them; strings stay as they are."""
    text = re.sub(r"(?<![\w\\])'([^'\n]*)'(?!\w)", lambda it: json.dumps(it[1]), text) if '"' not in text else text
    kept: list[str] = []

    def keep(match: re.Match[str]) -> str:
        kept.append(match[0])
        return f'"{len(kept) - 1}"'

    text = STRING.sub(keep, text)
    for pattern, instead in OUTSIDE_STRINGS:
        text = pattern.sub(instead, text)
    return re.sub(r'"(\d+)"', lambda it: kept[int(it[1])], text)


def closed(text: str) -> str:
    """With the quote and the brackets that are missing at its end."""
    open_ones: list[str] = []
    rest = STRING.sub("", text)
    quote = '"' if '"' in rest else ""
    for sign in rest.partition('"')[0]:
        if sign in "{[":
            open_ones.append("}" if sign == "{" else "]")
        elif sign in "}]" and open_ones:
            open_ones.pop()
    return f"{text}{quote}".rstrip().rstrip(",") + "".join(reversed(open_ones))


def spoken(text: str, fields: Iterable[str]) -> dict[str, Any]:
    """What the text says of each field: "The total is 40." or "total: 40"."""
    found = {name: re.search(rf"\b{spelled(name)}\b{ITS_VALUE}", text, re.IGNORECASE) for name in fields}
    return {name: match[1].strip() for name, match in found.items() if match}


def spelled(name: str) -> str:
    return re.escape(name).replace("_", r"[ _-]")
