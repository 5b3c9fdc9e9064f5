"""Variables and fields of answers as people write them: a line each.

email: line, The customer's address                       a variable: its name, its type, what it is
category: one of billing, technical, other                a field of the answer
priority: integer, 1 is the most urgent
tags: list of text
summary                                                    text, where nothing is said
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .spec import NAME, BadPrompt, Kind, Variable, fields

TYPES = {"text": "string", "line": "string", "integer": "integer", "number": "number", "yes or no": "boolean"}
NAMES_OF_TYPES = {"string": "text", "integer": "integer", "number": "number", "boolean": "yes or no"}
ONE_OF = re.compile(r"one of\s+(.+)", re.IGNORECASE | re.DOTALL)
LIST_OF = re.compile(r"list of\s+(text|integers?|numbers?)", re.IGNORECASE)
MOST_FIELDS = 60


def read_variables(text: str, body: str) -> tuple[Variable, ...]:
    """The variables that lines say, then those that the body names besides, as text. Each is required.

    Raises BadPrompt, naming the line, and for one that the body doesn't name.
    """
    said: dict[str, Variable] = {}
    for line, name, rest in entries(text):
        kind, _, description = (part.strip() for part in (rest or Kind.TEXT).partition(","))
        if kind.lower() not in list(Kind):
            raise BadPrompt(f"{name} is of the type {kind!r}", f"Write one of {', '.join(Kind)}.", line=line)
        said[name] = Variable(name, Kind(kind.lower()), description, required=True)
    for _, name in fields(body):
        said.setdefault(name, Variable(name, required=True))
    return tuple(said.values())


def write_variables(variables: tuple[Variable, ...]) -> str:
    return "\n".join(
        f"{each.name}: {each.kind}{', ' + each.description if each.description else ''}" for each in variables
    )


def read_fields(text: str) -> dict[str, Any] | None:
    """The JSON schema of an answer with these fields; None without any. Raises BadPrompt, naming the line."""
    properties = {name: schema_of(name, rest, line) for line, name, rest in entries(text)}
    if not properties:
        return None
    if len(properties) > MOST_FIELDS:
        raise BadPrompt(f"there are {len(properties)} fields", f"{MOST_FIELDS} is the most.")
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def schema_of(name: str, rest: str, line: int) -> dict[str, Any]:
    if match := ONE_OF.fullmatch(rest):
        values = [each.strip() for each in match[1].split(",")]
        if len(set(values)) < 2 or not all(values):
            raise BadPrompt(f"{name} chooses among {match[1]!r}", "Name two values or more, with commas.", line=line)
        return {"type": "string", "enum": values}
    kind, _, description = (part.strip() for part in (rest or "text").partition(","))
    about = {"description": description} if description else {}
    if match := LIST_OF.fullmatch(kind):
        return {"type": "array", "items": {"type": TYPES[match[1].lower().rstrip("s")]}, **about}
    if kind.lower() not in TYPES:
        known = ", ".join([*TYPES, "one of a, b, c", "list of text"])
        raise BadPrompt(f"{name} is of the type {kind!r}", f"Write one of: {known}.", line=line)
    return {"type": TYPES[kind.lower()], **about}


def write_fields(schema: Mapping[str, Any] | None) -> str:
    """The lines that `read_fields` makes such a schema of."""
    return "\n".join(f"{name}: {said(each)}" for name, each in (schema or {}).get("properties", {}).items())


def said(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    kind = NAMES_OF_TYPES.get(schema.get("type", ""), "text")
    if schema.get("type") == "array":
        kind = f"list of {NAMES_OF_TYPES.get(schema['items'].get('type', ''), 'text')}"
    return f"{kind}, {schema['description']}" if schema.get("description") else kind


def entries(text: str) -> Iterator[tuple[int, str, str]]:
    """Each line that says something: its number from 1, the name, and what stands behind the colon."""
    seen = set()
    for number, line in enumerate(text.splitlines(), start=1):
        name, _, rest = (part.strip() for part in line.partition(":"))
        if not name:
            continue
        if not NAME.fullmatch(name):
            raise BadPrompt(
                f"{name[:40]!r} is no name", "Use small letters, digits and _, a letter first.", line=number
            )
        if name in seen:
            raise BadPrompt(f"{name} stands there twice", "Name each once.", line=number)
        seen.add(name)
        yield number, name, rest
