"""JSON schemas, the strict small part of them that a suite may use."""

import re
from collections.abc import Callable
from typing import Any

from .nodes import Node

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}
KEYWORDS = (
    *("type", "enum", "const", "properties", "required", "additionalProperties", "items", "minItems", "maxItems"),
    *("minLength", "maxLength", "pattern", "minimum", "maximum"),
)


def require(node: Node) -> None:
    """Raises Bad at the first keyword that isn't known, or whose value isn't what it takes."""
    fields = node.fields(KEYWORDS)
    if "type" in fields and fields["type"].value() not in TYPES:
        raise fields["type"].bad(f"there is no type {fields['type'].value()!r}", f"There are: {', '.join(TYPES)}.")
    for each in fields["properties"].fields().values() if "properties" in fields else ():
        require(each)
    if "items" in fields:
        require(fields["items"])
    for name in ("minItems", "maxItems", "minLength", "maxLength"):
        if name in fields:
            fields[name].number()
    for name in ("minimum", "maximum"):
        if name in fields:
            fields[name].number(least=float("-inf"))
    for name in ("enum", "required"):
        if name in fields:
            fields[name].items()
    if "additionalProperties" in fields and not isinstance(fields["additionalProperties"].value(), bool):
        raise fields["additionalProperties"].bad("it is neither true nor false", "Write false, or leave it out.")
    if "pattern" in fields:
        try:
            re.compile(fields["pattern"].text())
        except re.error as error:
            raise fields["pattern"].bad(f"doesn't compile ({error})", "Write a Python regular expression.") from error


def fits(value: Any, schema: dict[str, Any]) -> bool:
    return all(RULES[name](value, schema) for name in schema if name in RULES)


def is_type(value: Any, schema: dict[str, Any]) -> bool:
    wanted = schema["type"]
    if isinstance(value, bool):
        return bool(wanted == "boolean")
    return isinstance(value, TYPES[wanted]) or (wanted == "integer" and isinstance(value, float) and value.is_integer())


def properties_fit(value: Any, schema: dict[str, Any]) -> bool:
    if not isinstance(value, dict):
        return True
    return all(fits(value[name], part) for name, part in schema["properties"].items() if name in value)


def has_no_others(value: Any, schema: dict[str, Any]) -> bool:
    others = value.keys() - schema.get("properties", {}).keys() if isinstance(value, dict) else ()
    return bool(schema["additionalProperties"]) or not others


def bounds(kind: type | tuple[type, ...], measure: Callable[[Any], float], name: str, sign: int) -> Callable[..., bool]:
    def rule(value: Any, schema: dict[str, Any]) -> bool:
        is_measured = isinstance(value, kind) and not isinstance(value, bool)
        return not is_measured or sign * measure(value) <= sign * schema[name]

    return rule


RULES: dict[str, Callable[[Any, dict[str, Any]], bool]] = {
    "type": is_type,
    "enum": lambda value, schema: value in schema["enum"],
    "const": lambda value, schema: bool(value == schema["const"]),
    "properties": properties_fit,
    "required": lambda value, schema: not isinstance(value, dict) or {*schema["required"]} <= value.keys(),
    "additionalProperties": has_no_others,
    "items": lambda value, schema: not isinstance(value, list) or all(fits(each, schema["items"]) for each in value),
    "minItems": bounds(list, len, "minItems", -1),
    "maxItems": bounds(list, len, "maxItems", 1),
    "minLength": bounds(str, len, "minLength", -1),
    "maxLength": bounds(str, len, "maxLength", 1),
    "pattern": lambda value, schema: not isinstance(value, str) or re.search(schema["pattern"], value) is not None,
    "minimum": bounds((int, float), float, "minimum", -1),
    "maximum": bounds((int, float), float, "maximum", 1),
}
