"""Gives the answer above in its right form, by the errors that the prompt lists."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any

from apps.runs.gateway.providers.base import Embedder
from apps.runs.terms import terms

from . import loose
from .as_json import as_object
from .reading import Conversation
from .rules import Rule, followed

LISTED = re.compile(r"(?:^- .*(?:\n|\Z))+\Z", re.MULTILINE)
ERROR = re.compile(r"^- (?P<path>[^:\n]+): (?P<message>.+)$", re.MULTILINE)
SAME_NAME_FROM = 0.45  # cosine of two fields' names
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
YES, NO = (
    {"yes", "true", "1", "y", "on", "paid", "done", "ja", "oui"},
    {"no", "false", "0", "n", "off", "unpaid", "open", "nein", "non"},
)
DATES = ("%d %B %Y", "%B %d, %Y", "%B %d %Y", "%d %b %Y", "%b %d, %Y", "%d.%m.%Y", "%Y/%m/%d", "%d/%m/%Y", "%Y.%m.%d")
EMPTY: dict[str, Any] = {"string": "", "number": 0, "integer": 0, "boolean": False, "array": [], "object": {}}


def mend(conversation: Conversation, schema: Mapping[str, Any], embedder: Embedder) -> str:
    """schema: the one that the request brings, which says what a missing field is."""
    told = LISTED.sub("", conversation.instruction)
    rules = followed(told)
    properties = schema.get("properties", {})
    value = loose.read(conversation.answer, properties)
    errors = ERROR.findall(conversation.instruction) if Rule.ERRORS_LISTED in rules else []
    patient = Patient(value, schema, f"{conversation.question}\n{conversation.answer}", embedder)
    for path, message in sorted(errors, key=lambda error: "Extra inputs" in error[1]):  # a stray may be the missing one
        patient.treat(path.split("."), message)
    if not errors and Rule.ERRORS_LISTED in rules:  # there was no JSON at all, so nobody could say what is wrong in it
        patient.fill(properties)
    if Rule.WHOLE not in rules:
        touched = {path.partition(".")[0] for path, _ in errors}
        value = {name: each for name, each in value.items() if name in touched}
    changed = ", ".join(f"{{{path}}}" for path, _ in errors) or "its form"
    return as_object(value, rules, in_words=f"I have looked at it again and changed {changed}.")


class Patient:
    """An object while it is being mended."""

    def __init__(self, value: dict[str, Any], schema: Mapping[str, Any], said: str, embedder: Embedder) -> None:
        self.value, self.schema, self.said, self.embedder = value, schema, said, embedder

    def treat(self, path: list[str], message: str) -> None:
        holder, key = self.at(path)
        if holder is None:
            return
        if "Field required" in message and isinstance(holder, dict):
            holder[key] = self.missing(holder, str(key), self.schema_at(path))
        elif "Extra inputs" in message and isinstance(holder, dict):
            holder.pop(key, None)
        else:
            with suppress(KeyError, IndexError, TypeError, ValueError):
                holder[key] = changed(holder[key], message, self.schema_at(path), self.embedder)

    def fill(self, properties: Mapping[str, Any]) -> None:
        for name, schema in properties.items():
            kind = schema.get("type", "string")
            if name not in self.value:
                self.value[name] = self.missing(self.value, name, schema)
            elif kind in CHANGES:
                self.value[name] = CHANGES[kind](self.value[name])

    def at(self, path: list[str]) -> tuple[Any, Any]:
        """The object or list that holds what `path` names, and its key there; None if it isn't there."""
        holder: Any = self.value
        try:
            for step in path[:-1]:
                holder = holder[int(step)] if isinstance(holder, list) else holder[step]
        except (KeyError, IndexError, ValueError, TypeError):
            return None, None
        return (holder, int(path[-1])) if isinstance(holder, list) else (holder, path[-1])

    def schema_at(self, path: list[str]) -> Mapping[str, Any]:
        node: Mapping[str, Any] = self.schema
        for step in path:
            node = self.resolved(node)
            node = node.get("items", {}) if step.isdigit() else node.get("properties", {}).get(step, {})
        return self.resolved(node)

    def resolved(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        if "$ref" in node:
            return self.schema.get("$defs", {}).get(node["$ref"].rpartition("/")[2], {})
        if "anyOf" in node:
            return self.resolved(next((each for each in node["anyOf"] if each.get("type") != "null"), {}))
        return node

    def missing(self, holder: dict[str, Any], name: str, schema: Mapping[str, Any]) -> Any:
        """What stands under another name, or in words beside the object; nothing of its kind otherwise."""
        kind = schema.get("type", "string")
        change = CHANGES.get(kind, lambda value: value)
        if other := self.namesake(holder, name):
            return change(holder.pop(other))
        if said := loose.spoken(self.said, [name]):
            return change(said[name])
        return EMPTY.get(kind)

    def namesake(self, holder: dict[str, Any], name: str) -> str | None:
        strays = [key for key in holder if key not in self.names_beside(holder)]
        plain = {re.sub(r"[\W_]", "", key).casefold(): key for key in strays}
        wanted = re.sub(r"[\W_]", "", name).casefold()
        if close := get_close_matches(wanted, plain, n=1, cutoff=0.8):
            return plain[close[0]]
        if not strays:
            return None
        vectors = self.embedder.embed([words(name), *map(words, strays)]).vectors
        likeness = vectors[1:] @ vectors[0]
        return strays[int(likeness.argmax())] if likeness.max() >= SAME_NAME_FROM else None

    def names_beside(self, holder: dict[str, Any]) -> set[str]:
        """The fields that an object of this shape has."""
        shapes = [self.schema, *self.schema.get("$defs", {}).values()]
        known = [set(shape.get("properties", {})) for shape in shapes]
        return max(known, key=lambda names: len(names & holder.keys()), default=set())


def words(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|[_-]", " ", name).lower()


def changed(value: Any, message: str, schema: Mapping[str, Any], embedder: Embedder) -> Any:
    """The value as the message of an error wants it; as it is, if the message isn't known."""
    for words_of_message, kind in KINDS:
        if words_of_message in message:
            return CHANGES[kind](value)
    if bound := re.search(r"(less|greater) than (?:or equal to )?(-?\d+(?:\.\d+)?)", message):
        return within(value, bound[1], float(bound[2]))
    if length := re.search(r"at most (\d+) (?:characters|items)", message):
        return value[: int(length[1])]
    if choices := re.findall(r"'([^']*)'", message):
        return chosen(str(value), choices, embedder)
    return value


KINDS = (
    ("valid integer", "integer"),
    ("valid number", "number"),
    ("valid boolean", "boolean"),
    ("valid list", "array"),
    ("valid array", "array"),
    ("valid string", "string"),
    ("valid date", "date"),
    ("valid dictionary", "object"),
)


def as_number(value: Any) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        text = " ".join(terms(str(value)))
        found = NUMBER.search(str(value)) or NUMBER.search(text)
        value = float(found[0].replace(",", "")) if found else 0
    return int(value) if float(value).is_integer() else float(value)


def as_boolean(value: Any) -> bool:
    said = str(value).strip().casefold()
    return said in YES or (said not in NO and bool(value))


def as_list(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        return list(value.values()) if all(key.isdigit() for key in value) else [value]
    return (
        [part.strip() for part in re.split(r",\s*|;\s*|\s+and\s+", str(value)) if part.strip()]
        if value is not None
        else []
    )


def as_text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(map(str, value.values()))
    return "" if value is None else str(value)


def as_date(value: Any) -> str:
    said = re.sub(r"(?<=\d)(?:st|nd|rd|th)\b|\bof\b|\bthe\b", "", str(value)).replace("  ", " ").strip()
    for form in DATES:
        with suppress(ValueError):
            return datetime.strptime(said, form).date().isoformat()  # noqa: DTZ007  (a day has no zone)
    with suppress(ValueError):
        return date.fromisoformat(said[:10]).isoformat()
    return said


def as_only(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value


CHANGES: dict[str, Callable[[Any], Any]] = {
    "integer": lambda value: round(as_number(value)),
    "number": as_number,
    "boolean": as_boolean,
    "array": as_list,
    "string": as_text,
    "date": as_date,
    "object": as_only,
}


def within(value: Any, side: str, bound: float) -> float | int:
    """Back over a bound: a share that came as per cent becomes one, anything else becomes the bound."""
    number = as_number(value)
    if side == "less" and bound == 1 and 1 < number <= 100:
        return number / 100
    return as_number(min(number, bound) if side == "less" else max(number, bound))


def chosen(value: str, choices: list[str], embedder: Embedder) -> str:
    """The choice that is spelled like the value, or else means most nearly the same."""
    plain = {choice.casefold(): choice for choice in choices}
    if close := get_close_matches(value.strip().casefold(), plain, n=1, cutoff=0.7):
        return plain[close[0]]
    vectors = embedder.embed([value, *choices]).vectors
    return choices[int((vectors[1:] @ vectors[0]).argmax())]
