"""A pydantic model of a JSON schema, so that answers of prompts that people wrote are checked as those of our own code.

Objects with named fields, lists, text, numbers, whole numbers, booleans, enums and null: what all providers enforce.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

PLAIN: dict[str, Any] = {"string": str, "integer": int, "number": float, "boolean": bool, "null": None}
DEEPEST = 8


class BadSchema(ValueError):
    """A schema that can't be enforced; the message names the place and what to write instead."""


def model_of(schema: Mapping[str, Any], *, name: str = "Answer") -> type[BaseModel]:
    """Raises BadSchema."""
    return _model_of(json.dumps(schema, sort_keys=True), name)


@lru_cache(maxsize=512)
def _model_of(schema: str, name: str) -> type[BaseModel]:
    return object_of(json.loads(schema), name, 1)


def object_of(schema: Mapping[str, Any], name: str, depth: int) -> type[BaseModel]:
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or not properties:
        raise BadSchema(f"{name} has no fields. Name at least one under `properties`.")
    if depth > DEEPEST:
        raise BadSchema(f"{name} is nested deeper than {DEEPEST} levels. Make it flatter.")
    fields: dict[str, Any] = {}
    for field, each in properties.items():
        if not isinstance(each, Mapping):
            raise BadSchema(f"{name}.{field} is no schema. Write one such as `{{type: string}}`.")
        kind = kind_of(each, f"{name}.{field}", depth)
        # Fields may be named as pydantic's own methods are: they go by an alias.
        fields[f"field_{len(fields)}"] = (kind, Field(alias=str(field), description=each.get("description")))
    config = ConfigDict(extra="forbid", populate_by_name=False)
    return create_model(name.rpartition(".")[2].title().replace("_", "") or "Answer", __config__=config, **fields)


def kind_of(schema: Mapping[str, Any], place: str, depth: int) -> Any:
    if "enum" in schema:
        values = schema["enum"]
        if not isinstance(values, list) or not values or not all(isinstance(each, str | int | bool) for each in values):
            raise BadSchema(f"{place}: an enum lists words or whole numbers.")
        return Literal[tuple(values)]
    kind = schema.get("type")
    if isinstance(kind, list):
        found: Any = None
        for each in kind:
            one = kind_of({**schema, "type": each}, place, depth)
            found = one if found is None else found | one
        return found
    if kind == "object":
        return object_of(schema, place, depth + 1)
    if kind == "array":
        if not isinstance(schema.get("items"), Mapping):
            raise BadSchema(f"{place}: a list says what it is of, under `items`.")
        return list[kind_of(schema["items"], f"{place}[]", depth + 1)]  # type: ignore[misc]
    if kind not in PLAIN:
        raise BadSchema(f"{place} is of the type {kind!r}. Write one of {', '.join(PLAIN)}, object or array.")
    return PLAIN[kind]
