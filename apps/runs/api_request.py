"""What a program asks in OpenAI's words, checked and put into ours.

Fields that change nothing here are ignored, as docs/gateway-api.md lists them; those that would change the answer and
aren't known here are refused.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from django.conf import settings
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from apps.tenants.models import Tier

from . import chain, route
from .configuration import Configuration
from .gateway.types import Message, Request

AUTO = "auto"
MOST_OUTPUT_TOKENS = 200_000
SCHEMA_DEPTH = 40


class Unfit(Exception):
    """A request that can't be understood or isn't taken: what is wrong and what to do. `param` names the field."""

    def __init__(
        self, message: str, *, param: str | None = None, status: int = 400, code: str = "invalid_value"
    ) -> None:
        super().__init__(message)
        self.message, self.param, self.status, self.code = message, param, status, code


def as_text(content: Any) -> Any:
    """A message's content as one text: OpenAI's clients also send it as a list of parts."""
    if not isinstance(content, list):
        return content
    for part in content:
        if not isinstance(part, Mapping) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            kind = part.get("type") if isinstance(part, Mapping) else part
            raise ValueError(f"holds a part of type {str(kind)[:40]!r}. Send text only")
    return "".join(part["text"] for part in content)


def one_alone(number: int) -> int:
    if number != 1:
        raise ValueError("must be 1: one answer is given to a request. Send the request again for another")
    return number


def no_tools(tools: Any) -> None:
    if tools:
        raise ValueError("are not taken. Leave them out, or ask for JSON with response_format")


def finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError("must be a number")
    return number


def shallow(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type") != "object":
        raise ValueError("must be an object with named fields: write type “object” and its properties")
    if depth(schema) > SCHEMA_DEPTH:
        raise ValueError(f"is nested more than {SCHEMA_DEPTH} deep")
    return schema


def depth(value: Any) -> int:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth, parts), default=0)


class Asked(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class AskedMessage(Asked):
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, BeforeValidator(as_text)]


class StreamOptions(Asked):
    include_usage: bool = False


class NamedSchema(Asked):
    name: str = Field("answer", pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    # `schema` is what pydantic calls a method of its own.
    form: Annotated[dict[str, Any], AfterValidator(shallow)] = Field(alias="schema")


class ResponseFormat(Asked):
    type: Literal["text", "json_schema"]
    json_schema: NamedSchema | None = None


class Completion(Asked):
    """The body of a request."""

    messages: list[AskedMessage] = Field(min_length=1)
    model: str = Field(AUTO, max_length=120)
    max_tokens: int | None = Field(None, ge=1, le=MOST_OUTPUT_TOKENS)
    max_completion_tokens: int | None = Field(None, ge=1, le=MOST_OUTPUT_TOKENS)
    temperature: Annotated[float, AfterValidator(finite)] | None = Field(None, ge=0, le=2)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: Annotated[int, AfterValidator(one_alone)] | None = 1
    response_format: ResponseFormat | None = None
    tools: Annotated[Any, AfterValidator(no_tools)] = None
    functions: Annotated[Any, AfterValidator(no_tools)] = None

    @property
    def include_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    def request(self) -> Request:
        """Raises Unfit."""
        said = tuple(
            Message("system" if each.role == "developer" else each.role, each.content) for each in self.messages
        )
        questions = [each.content for each in said if each.role == "user"]
        if not questions:
            raise Unfit("There is no message of the user. Send one.", param="messages")
        return Request(
            messages=said,
            max_output_tokens=self.max_completion_tokens or self.max_tokens or settings.MAX_OUTPUT_TOKENS,
            question=questions[-1],
            temperature=self.temperature,
            **self.schema_asked_for(),
        )

    def schema_asked_for(self) -> dict[str, Any]:
        wanted = self.response_format
        if wanted is None or wanted.type == "text":
            return {}
        if wanted.json_schema is None:
            raise Unfit("Send the schema as response_format.json_schema.", param="response_format.json_schema")
        return {"schema": wanted.json_schema.form, "schema_name": wanted.json_schema.name}


def read(body: bytes) -> Completion:
    """Raises Unfit with the first thing that is wrong."""
    try:
        return Completion.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise Unfit("The body is no JSON that can be read. Send one JSON object.", code="invalid_json") from None
        where = ".".join(str(each) for each in first["loc"])
        what = first["msg"].removeprefix("Value error, ")
        raise Unfit(f"{where or 'The body'}: {what}.", param=where or None) from None


def destination(name: str, known: Configuration) -> tuple[Tier | None, str]:
    """The tier that a request's `model` means, and the model of it that is meant, "" for each. Raises Unfit."""
    if name == AUTO:
        return None, ""
    if name in Tier.values:
        return Tier(name), ""
    for tier in route.allowed_tiers(known):
        if any(choice.target.model == name for choice in chain.choices(known, tier)):
            return tier, name
    message = "The workspace has no model of that name. GET models lists those that it has, and “auto” chooses one."
    raise Unfit(message, param="model", status=404, code="model_not_found")


def names(known: Configuration) -> dict[str, str]:
    """What `model` may be, each with who owns it."""
    tiers = route.allowed_tiers(known)
    found = {choice.target.model: choice.target.provider for tier in tiers for choice in chain.choices(known, tier)}
    return dict.fromkeys([AUTO, *map(str, tiers)], "corbel") | found
