"""A call made from a prompt's version and values for its variables, whoever wrote the prompt.

request_of(version, values)     what a model is sent
ask(version, values, ...)       the run; `run.value` holds the object where the version has a schema
"""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from pydantic import BaseModel

from apps.prompts.models import PromptVersion
from apps.prompts.spec import BadPrompt

from . import execute
from .gateway.types import Message, Request
from .models import Run
from .schema_models import BadSchema, model_of
from .structured import strict


def request_of(version: PromptVersion, values: Mapping[str, str]) -> Request:
    """The version's words as one message, with each variable read as its type.

    Raises BadPrompt for a value that is missing or of another type, or a schema that no provider enforces.
    """
    filled = {}
    for variable in version.declared:
        if variable.name not in values:
            raise BadPrompt(f"{variable.name} has no value", "Give it one.")
        filled[variable.name] = variable.read(values[variable.name])
    said, schema = version.render(**filled), model_for(version)
    return Request(
        (Message("user", said),),
        version.max_output_tokens or settings.MAX_OUTPUT_TOKENS,
        question=said,
        schema=strict(schema) if schema else None,
        schema_name=version.prompt.name.replace(".", "_"),
    )


def model_for(version: PromptVersion) -> type[BaseModel] | None:
    """What the version's answers are checked by; None for prose. Raises BadPrompt."""
    if not version.output_schema:
        return None
    try:
        return model_of(version.output_schema)
    except BadSchema as bad:
        raise BadPrompt(f"{version} asks for answers of a form that can’t be checked", str(bad)) from bad


async def ask(version: PromptVersion, values: Mapping[str, str], *, feature: str, **call: Any) -> Run:
    """Complete it, by the version's own tier if it has one and `call` names none. Raises BadPrompt."""
    call.setdefault("tier", version.forced_tier)
    request, schema = request_of(version, values), model_for(version)
    run = await execute.complete(request, schema=schema, feature=feature, prompt_version=version, **call)
    if run.value is not None:
        run.value = run.value.model_dump(mode="json", by_alias=True)
    return run
