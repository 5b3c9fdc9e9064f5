"""What a prompt's words come with: its variables and their types, the tier and length of answers, their schema.

A body names variables in braces, such as {workspace}; a brace that is meant is doubled. `check` says at once what is
wrong with a body, so that nothing is left to go wrong when it is used.
"""

import hashlib
import json
import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic_core import from_json

from apps.tenants.models import Tier

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
MOST_BODY_CHARS = 50_000
MOST_OUTPUT_TOKENS = 128_000
TRUE, FALSE = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0"})


class Kind(StrEnum):
    """What a variable may hold. `line` is text without a line break."""

    LINE = "line"
    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    JSON = "json"


class BadPrompt(ValueError):
    """Something a prompt can't be saved or filled in with, and what to do about it.

    `line`: where in the body, from 1. `entry`: which entry of the spec, such as "variables.size".
    """

    def __init__(self, fault: str, mend: str, *, line: int | None = None, entry: str = "") -> None:
        super().__init__(f"{f'line {line}: ' if line else ''}{fault}. {mend}")
        self.fault, self.mend, self.line, self.entry = fault, mend, line, entry


@dataclass(frozen=True, slots=True)
class Variable:
    """One that a body may name; a `required` one it must. `example` is what pages fill in to show how it reads."""

    name: str
    kind: Kind = Kind.TEXT
    description: str = ""
    example: str = ""
    required: bool = False

    def read(self, text: str) -> str:
        """The value that somebody typed, as it will stand in the prompt. Raises BadPrompt if it is of another type."""
        value = text.strip() if self.kind != Kind.TEXT else text
        match self.kind:
            case Kind.LINE if "\n" in value or "\r" in value:
                raise self.bad("has a line break", "Write it on one line")
            case Kind.INTEGER if not re.fullmatch(r"[+-]?[0-9]{1,18}", value):
                raise self.bad("is no whole number", "Write one such as 3")
            case Kind.NUMBER if not re.fullmatch(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?", value):
                raise self.bad("is no number", "Write one such as 3 or 2.5")
            case Kind.BOOLEAN:
                if value.lower() not in TRUE | FALSE:
                    raise self.bad("is neither true nor false", "Write one of the two")
                return "true" if value.lower() in TRUE else "false"
            case Kind.JSON:
                try:
                    # It minds depth, and halves of surrogate pairs.
                    return json.dumps(from_json(value, allow_inf_nan=False), ensure_ascii=False)
                except ValueError:
                    raise self.bad("is no JSON", 'Write some such as {"size": 3}') from None
        return value

    def bad(self, fault: str, mend: str) -> BadPrompt:
        return BadPrompt(f"{self.name} {fault}", f"{mend}.")

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "type": self.kind,
            "description": self.description,
            "example": self.example,
            "required": self.required,
        }


@dataclass(frozen=True, slots=True)
class Spec:
    """`tier`: "" leaves it to the workspace's routing. `max_output_tokens`: None is the installation's own limit.
    `output_schema`: a JSON schema that answers follow, None for prose."""

    variables: tuple[Variable, ...] = ()
    tier: str = ""
    max_output_tokens: int | None = None
    output_schema: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "variables": [variable.as_json() for variable in self.variables],
            "tier": self.tier,
            "max_output_tokens": self.max_output_tokens,
            "output_schema": self.output_schema,
        }

    def checksum(self, body: str) -> str:
        """SHA-256, in hex, of the words and of all that they come with."""
        said = json.dumps([body, self.as_json()], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(said.encode()).hexdigest()

    def check(self, body: str) -> None:
        """Raises BadPrompt for a body that can't be filled in with these variables, or leaves a required one out."""
        if not body.strip():
            raise BadPrompt("the prompt is empty", "Write what the model is to do.")
        if len(body) > MOST_BODY_CHARS:
            raise BadPrompt(f"the prompt has {len(body):,} characters", f"{MOST_BODY_CHARS:,} is the most. Shorten it.")
        known = {variable.name for variable in self.variables}
        named = set()
        for line, name in fields(body):
            if name not in known:
                there = ", ".join(f"{{{each}}}" for each in sorted(known)) or "none"
                raise BadPrompt(
                    f"{{{name}}} is no variable of this prompt",
                    f"There are: {there}. Double each brace that is meant as one.",
                    line=line,
                )
            named.add(name)
        if missing := [each.name for each in self.variables if each.required and each.name not in named]:
            raise BadPrompt(
                f"the prompt doesn’t use {', '.join(f'{{{name}}}' for name in missing)}",
                "Without it the model doesn’t get what it is asked about. Put it where it belongs.",
            )


def fields(body: str) -> Iterator[tuple[int, str]]:
    """The variables that a body names, each with its line, from 1. Raises BadPrompt where the braces make no sense."""
    line = 1
    try:
        for literal, name, form, conversion in string.Formatter().parse(body):
            line += literal.count("\n")
            if name is None:
                continue
            if not NAME.fullmatch(name) or form or conversion:
                said = f"{name}{'!' + conversion if conversion else ''}{':' + form if form else ''}"
                raise BadPrompt(
                    f"{{{said[:60]}}} is more than a name", "Only names stand in braces, such as {question}.", line=line
                )
            yield line, name
    except ValueError as error:
        if isinstance(error, BadPrompt):
            raise
        raise BadPrompt(
            f"a brace is open or closes nothing ({error})",
            "Double each brace that is meant as one: {{ and }}.",
            line=line_of_stray_brace(body),
        ) from error


def line_of_stray_brace(body: str) -> int:
    """The first line, from 1, that can't be read by itself; a variable never goes over the end of one."""
    for number, text in enumerate(body.split("\n"), start=1):
        try:
            list(string.Formatter().parse(text))
        except ValueError:
            return number
    return 1


def read_spec(data: Mapping[str, Any]) -> Spec:
    """A spec from front matter or from a version's columns. Raises BadPrompt, naming the entry."""
    variables = data.get("variables") or {}
    if isinstance(variables, list):  # as `as_json` writes them
        variables = {each["name"]: {key: each[key] for key in each if key != "name"} for each in variables}
    if not isinstance(variables, Mapping):
        raise BadPrompt(
            "variables is no list of names", "Write `name: {type: text, description: …}` lines.", entry="variables"
        )
    tier = data.get("tier") or ""
    if tier and tier not in Tier.values:
        raise BadPrompt(f"tier is {tier!r}", f"Write one of {', '.join(Tier.values)}, or leave it out.", entry="tier")
    tokens = data.get("max_output_tokens")
    if tokens is not None and (type(tokens) is not int or not 1 <= tokens <= MOST_OUTPUT_TOKENS):
        raise BadPrompt(
            f"max_output_tokens is {tokens!r}",
            f"Write a whole number from 1 to {MOST_OUTPUT_TOKENS:,}, or leave it out.",
            entry="max_output_tokens",
        )
    schema = data.get("output_schema")
    if schema is not None and not (isinstance(schema, Mapping) and schema.get("type") == "object"):
        raise BadPrompt(
            "output_schema is no schema of an object",
            "Begin it with `type: object`, or leave it out.",
            entry="output_schema",
        )
    return Spec(
        tuple(read_variable(name, each) for name, each in variables.items()),
        tier,
        tokens,
        dict(schema) if schema is not None else None,
    )


def read_variable(name: Any, data: Any) -> Variable:
    entry = f"variables.{name}"
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise BadPrompt(
            f"{name!r} is no name of a variable", "Use small letters, digits and _, a letter first.", entry=entry
        )
    given = {"type": data} if isinstance(data, str) else data
    if not isinstance(given, Mapping):
        raise BadPrompt(f"the variable {name} has no type", f"Write `{name}: {{type: text}}`.", entry=entry)
    if unknown := sorted(given.keys() - {"type", "description", "example", "required"}):
        raise BadPrompt(
            f"the variable {name} has {unknown[0]!r}", "It has type, description, example and required.", entry=entry
        )
    kind = given.get("type", Kind.TEXT)
    if kind not in list(Kind):
        raise BadPrompt(f"the variable {name} is of the type {kind!r}", f"Write one of {', '.join(Kind)}.", entry=entry)
    return Variable(
        name,
        Kind(kind),
        str(given.get("description", "")),
        str(given.get("example", "")),
        given.get("required") is True,
    )
