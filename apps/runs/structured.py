"""An answer as a validated object: a pydantic model goes in, an instance of it or a typed failure comes out.

    run = await structured(ask, request, Invoice)
    run.value                        an Invoice, or None with run.error

Providers are given the model's JSON schema in the form that all of them enforce. They still answer otherwise now and
then, and servers of one's own ignore schemas altogether: so every answer is validated here, and one that fails is
handed back once with what is wrong with it. Each of the two calls is a run with its own cost.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from apps.prompts.models import PromptVersion
from apps.tenants.models import Tier
from apps.tenants.threads import in_thread

from .gateway.types import Message, OnDelta, Request
from .models import Run
from .refusals import Refusal

M = TypeVar("M", bound=BaseModel)
Ask = Callable[..., Awaitable[Run]]
"""Makes a call: `execute.routed`, with who asks and for which feature said already."""

MOST_ERRORS = 10
# What every provider enforces; of the rest the model is told in words, and the answer is checked here.
ENFORCED = ("type", "enum", "const", "format", "description")
DROPPED = ("title", "default", "examples", "discriminator", "deprecated", "$defs")
FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
FENCED = re.compile(r"```[a-zA-Z]*\s*\n(.*?)\n?\s*```", re.DOTALL)


class Malformed(Refusal):
    """A model answered, and not with what was asked for. `errors` say why not; `text` is what it said."""

    code = "malformed"
    http_status = 502
    message = "The model’s answer didn’t have the form that was asked for."
    action = "Ask again, or ask a stronger model."

    def __init__(self, errors: tuple[str, ...], text: str, *, message: str = "", action: str = "") -> None:
        super().__init__(message, action)
        self.errors = errors
        self.text = text


async def structured(
    ask: Ask, request: Request, schema: type[M], *, tier: Tier | None = None, on_delta: OnDelta | None = None
) -> Run:
    """Ask for an instance of `schema`. The run returned is the last one made: it holds `value`, or `error`.

    on_delta hears the answer once it is valid, in one piece. A run whose answer is malformed is FAILED and costs what
    it costs; one that fails otherwise is returned as it is. Raises TypeError for a schema that can't be enforced.
    """
    request = replace(request, schema=strict(schema), schema_name=name_of(schema))
    quietly: dict[str, Any] = {"on_restart": None, "cache": None}  # nothing unchecked is heard, or kept
    run = await ask(request, tier=tier, **quietly)
    if run.status == Run.Status.OK and not await accepted(run, schema) and may_be_repaired(run):
        version = await in_thread(PromptVersion.objects.chosen, "repair", subject=run.subject)
        about = {"parent": run, "purpose": Run.Purpose.REPAIR, "prompt_version": version}
        run = await ask(repairing(request, run, version), tier=Tier(run.tier), **about, **quietly)
        if run.status == Run.Status.OK:
            await accepted(run, schema)
    if run.value is not None and on_delta:
        await on_delta(run.text)
    return run


def name_of(schema: type[BaseModel]) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", schema.__name__)[:60]


async def accepted(run: Run, schema: type[BaseModel]) -> bool:
    """Whether the run's answer is valid, and then is `run.value`; else the run is written as malformed."""
    if checked(run, schema):
        return True
    await in_thread(Run.objects.filter(pk=run.pk).update, status=run.status, error_code=run.error_code)
    return False


def checked(run: Run, schema: type[BaseModel]) -> bool:
    """The same without writing it."""
    if run.finish_reason == "length":
        run.error = Malformed(
            ("the answer was cut off at its greatest length",),
            run.text,
            message="The answer was longer than it may be, and ended before it was complete.",
            action="Ask for less at once, or allow a longer answer.",
        )
    else:
        try:
            run.value = parse(run.text, schema)
        except Malformed as malformed:
            run.error = malformed
        else:
            return True
    run.status, run.error_code = Run.Status.FAILED, Malformed.code
    return False


def may_be_repaired(run: Run) -> bool:
    """Not what was cut off, which would be again, nor what the provider kept back."""
    return run.finish_reason == "stop"


def repairing(request: Request, run: Run, version: PromptVersion) -> Request:
    errors = run.error.errors if isinstance(run.error, Malformed) else ()
    asked = "\n".join([version.render(), *(f"- {error}" for error in errors)])
    said = run.text if run.text.strip() else "(nothing)"
    turns = (Message("assistant", said), Message("user", asked))
    return replace(request, messages=(*request.messages, *turns))


def parse(text: str, schema: type[M]) -> M:
    """The object in a model's answer: JSON alone, in a code fence, or after a sentence. Raises Malformed."""
    faults: tuple[str, ...] = ()
    for candidate in candidates(text):
        try:
            # Half of a surrogate pair is no text in any encoding.
            return schema.model_validate_json(candidate.encode("utf-8", "replace"))
        except ValidationError as error:
            faults = faults or lines(error)
    raise Malformed(faults or ("there is no JSON in it",), text)


def candidates(text: str) -> list[str]:
    """What may be the JSON in an answer, the likeliest first."""
    found = [text.strip(), *(block.strip() for block in FENCED.findall(text))]
    first, last = text.find("{"), text.rfind("}")
    if 0 <= first < last:
        found.append(text[first : last + 1])
    return [each for each in dict.fromkeys(found) if each.startswith("{")]


def lines(error: ValidationError) -> tuple[str, ...]:
    """What is wrong, a line each: where and why, without repeating what was answered."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return tuple(
        f"{'.'.join(map(str, each['loc'])) or 'the answer'}: {each['msg']}"[:300] for each in found[:MOST_ERRORS]
    )


@lru_cache(maxsize=256)
def strict(model: type[BaseModel]) -> dict[str, Any]:
    """Its JSON schema as all providers enforce it: every field required, no others, no keyword that one refuses.

    https://platform.openai.com/docs/guides/structured-outputs  https://docs.anthropic.com/en/docs/build-with-claude/structured-outputs
    Raises TypeError, naming the place, for what can't be said so: objects without named fields, values of any type.
    """
    whole = model.model_json_schema()
    definitions: dict[str, Any] = whole.get("$defs", {})
    root = definitions[whole["$ref"].rpartition("/")[2]] if "$ref" in whole else whole
    if root.get("type") != "object":
        raise TypeError(f"{model.__name__} is no object with fields. Wrap it in a model with one field.")
    schema = strict_node(root, model.__name__)
    if definitions:
        schema["$defs"] = {name: strict_node(node, name) for name, node in definitions.items()}
    return schema


def strict_node(node: Mapping[str, Any], path: str) -> dict[str, Any]:
    if "$ref" in node:
        return {"$ref": node["$ref"]}
    if len(node.get("allOf", ())) == 1:
        return strict_node({**node["allOf"][0], **{k: v for k, v in node.items() if k != "allOf"}}, path)
    kept = {name: node[name] for name in ENFORCED if name in node}
    told = {k: v for k, v in node.items() if k not in (*kept, *DROPPED, "properties", "required", "items", "anyOf")}
    told.pop("oneOf", None)
    if kept.get("format", "date") not in FORMATS:
        told["format"] = kept.pop("format")
    kind = node.get("type")
    if kind == "object":
        if told.pop("additionalProperties", False) is not False or not node.get("properties"):
            raise TypeError(f"{path} is an object without named fields, which no provider enforces. Name its fields.")
        kept |= {
            "properties": {name: strict_node(each, f"{path}.{name}") for name, each in node["properties"].items()},
            "required": list(node["properties"]),
            "additionalProperties": False,
        }
    elif kind == "array":
        if not isinstance(node.get("items"), Mapping) or "prefixItems" in node:
            raise TypeError(f"{path} is a list of different things, which no provider enforces. Make it one of a kind.")
        kept["items"] = strict_node(node["items"], f"{path}[]")
    elif variants := node.get("anyOf") or node.get("oneOf"):
        kept["anyOf"] = [strict_node(each, path) for each in variants]
    elif kind is None and not {"enum", "const"} & kept.keys():
        raise TypeError(f"{path} may be anything, which no provider enforces. Give it a type.")
    if told:
        words = ", ".join(f"{name}: {json.dumps(value)}" for name, value in told.items())
        kept["description"] = f"{kept['description']} ({words})" if "description" in kept else words
    return kept
