"""JSON schemas for structured answers, in the dialects of the providers."""

import json
from dataclasses import replace
from typing import Any

from ..types import Message, Request

Schema = dict[str, Any]


def strict(schema: Schema) -> Schema:
    """The schema as OpenAI wants it when it enforces one: every property required, none besides, no defaults, unions by
    anyOf, and nothing beside a reference.

    https://platform.openai.com/docs/guides/structured-outputs
    """
    if "$ref" in schema and len(schema) > 1:
        schema = {**schema, "anyOf": [{"$ref": schema["$ref"]}]}
        del schema["$ref"]
    if "properties" in schema or (schema.get("type") == "object" and not has_maps(schema)):
        schema = {**schema, "required": list(schema.get("properties", {})), "additionalProperties": False}
    return {
        "anyOf" if key == "oneOf" else key: strict_value(key, value)
        for key, value in schema.items()
        if key not in ("default", "discriminator")
    }


def strict_value(key: str, value: Any) -> Any:
    if key in ("properties", "$defs"):
        return {name: strict(part) for name, part in value.items()}
    if key in ("items", "additionalProperties") and isinstance(value, dict):
        return strict(value)
    if key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        return [strict(part) for part in value]
    return value


def has_maps(part: object) -> bool:
    """Whether objects in it may have properties of any name, which OpenAI can't enforce."""
    if isinstance(part, dict):
        return bool(part.get("additionalProperties")) or any(map(has_maps, part.values()))
    return isinstance(part, list) and any(map(has_maps, part))


def in_words(request: Request) -> Request:
    """The same request with its schema as an instruction, for a server that takes none."""
    instruction = (
        "Answer with one JSON value and nothing else: no introduction, no code fence. "
        "It must follow this JSON schema:\n"
        f"{json.dumps(request.schema)}"
    )
    return replace(request, messages=(*request.messages, Message("system", instruction)), schema=None)
