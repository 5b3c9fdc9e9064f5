"""Where a step's variables come from, and whether it is for a row at all.

    {"column": "Name"}                    a cell of the row
    {"step": 1, "field": ""}              the whole answer of an earlier step, or one field of a structured one
    {"text": "constant"}                  the same for every row

A condition looks at a column or an earlier answer: {"column": "Amount", "is": "above", "value": "100"}. What a skipped
step would have said is empty.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.prompts.models import PromptVersion
from apps.tenants.models import Tier

from ..models import BatchResult

Source = Mapping[str, Any]
Answers = Mapping[int, BatchResult]  # by the step's position

MOST_STEPS = 8
WITHOUT_VALUE = ("empty", "not_empty")
TESTS = ("equals", "not_equals", "contains", "above", "below", *WITHOUT_VALUE)


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step that somebody chose: see `BatchStep` for what mapping and condition hold."""

    version: PromptVersion
    mapping: Mapping[str, Source]
    condition: Source | None = None
    label: str = ""
    tier: str = ""


def value_of(source: Source, *, row: Mapping[str, str], answers: Answers) -> str:
    """The text that a source gives for a row."""
    if "text" in source:
        return str(source["text"])
    if "column" in source:
        return row.get(source["column"], "")
    answer = answers.get(source["step"])
    return "" if answer is None else said_in(answer, source.get("field", ""))


def said_in(answer: BatchResult, field: str) -> str:
    """An answer's text, or one field of its object as text."""
    if not field:
        return answer.text
    return as_text(answer.value.get(field)) if isinstance(answer.value, dict) else ""


def as_text(value: Any) -> str:
    """A value of JSON as a cell holds it."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def holds(condition: Source | None, *, row: Mapping[str, str], answers: Answers) -> bool:
    """Whether a step is for the row. Words are compared without regard to case; what is no number is neither above nor
    below one."""
    if not condition:
        return True
    found = value_of(condition, row=row, answers=answers).strip().casefold()
    wanted = str(condition.get("value", "")).strip().casefold()
    match condition["is"]:
        case "equals":
            return found == wanted
        case "not_equals":
            return found != wanted
        case "contains":
            return wanted in found
        case "empty":
            return not found
        case "not_empty":
            return bool(found)
    number, bound = as_number(found), as_number(wanted)
    if number is None or bound is None:
        return False
    return number > bound if condition["is"] == "above" else number < bound


def as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def faults(steps: Sequence[PlannedStep], columns: Sequence[str]) -> Iterator[str]:
    """What makes no sense in the steps of a batch with these columns: a sentence each, with what to do."""
    if not steps:
        yield "A batch has at least one step. Choose a prompt."
    if len(steps) > MOST_STEPS:
        yield f"A batch has {MOST_STEPS} steps at most. Leave some out, or make one prompt of two."
    for position, step in enumerate(steps, start=1):
        here = f"Step {position}: "
        known = {variable.name for variable in step.version.declared}
        for name in sorted(known - step.mapping.keys()):
            yield f"{here}the variable {{{name}}} gets nothing. Choose a column, an earlier answer or a text for it."
        for name in sorted(step.mapping.keys() - known):
            yield f"{here}{{{name}}} is no variable of this prompt. Leave it out."
        for name in sorted(step.mapping.keys() & known):
            if fault := fault_of(step.mapping[name], position, steps, columns):
                yield f"{here}{{{name}}} {fault}"
        if step.condition and (fault := fault_of_condition(step.condition, position, steps, columns)):
            yield f"{here}its condition {fault}"
        if step.tier and step.tier not in Tier.values:
            yield f"{here}{step.tier!r} is no tier. Choose one of {', '.join(Tier.values)}."


def fault_of(source: Any, position: int, steps: Sequence[PlannedStep], columns: Sequence[str]) -> str:
    match source:
        case {"text": str()}:
            return ""
        case {"column": str(name)}:
            return (
                ""
                if name in columns
                else f"comes from the column “{name}”, which the file doesn’t have. Choose another."
            )
        case {"step": int(earlier)}:
            if not 1 <= earlier < position:
                return f"comes from step {earlier}, which isn’t before this one. Choose an earlier step."
            field = source.get("field", "")
            if field and field not in fields_of(steps[earlier - 1].version):
                return f"comes from {field!r} of step {earlier}, whose answers have no such field. Choose another."
            return ""
    return "comes from nowhere. Choose a column, an earlier answer or a text."


def fault_of_condition(condition: Source, position: int, steps: Sequence[PlannedStep], columns: Sequence[str]) -> str:
    if fault := fault_of({k: v for k, v in condition.items() if k != "text"}, position, steps, columns):
        return fault
    if condition.get("is") not in TESTS:
        return f"has the test {condition.get('is')!r}. Choose one of {', '.join(TESTS)}."
    if condition["is"] in ("above", "below") and as_number(str(condition.get("value", ""))) is None:
        return f"compares with {condition.get('value', '')!r}, which is no number. Write one such as 100."
    return ""


def fields_of(version: PromptVersion) -> list[str]:
    """The names of what a structured answer has, in the order in which they were written; none for prose."""
    schema = version.output_schema or {}
    order = {name: place for place, name in enumerate(schema.get("required", []))}  # JSON in a column keeps no other
    return sorted(schema.get("properties", {}), key=lambda name: order.get(name, len(order)))
