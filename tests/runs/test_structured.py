"""A pydantic model in; a validated object or a typed failure out, over both providers' real wire formats."""

import json
from collections.abc import Callable
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, RootModel

from apps.runs import execute
from apps.runs.gateway.types import Message, Request
from apps.runs.models import Run
from apps.runs.structured import Malformed, parse, strict
from apps.tenants.context import tenant_context
from apps.tenants.models import Tier
from apps.tenants.threads import in_thread
from tests.conftest import Cast
from tests.gateway.stub import Refuse, Stub

from .scripted import give_tiers, says, serve

QUESTION = Request((Message("user", "Read this bill."),), max_output_tokens=200, question="Read this bill.")
GOOD = '{"number": "A-1", "total": 12.5, "lines": [{"text": "Stone", "cents": 1250}]}'


class Line(BaseModel):
    text: str
    cents: int = Field(ge=0)


class Bill(BaseModel):
    """What a bill says."""

    number: str = Field(min_length=1, description="As it is printed.")
    total: float
    lines: list[Line] = []


@pytest.fixture
def script(server: Stub, settings: Any, committed_cast: Cast) -> Callable[..., None]:
    give_tiers(committed_cast.acme)
    return serve(server, settings)


async def ask(cast: Cast, tier: Tier, **call: Any) -> tuple[Run, list[Run]]:
    with tenant_context(cast.acme):
        run = await execute.complete(QUESTION, schema=Bill, feature="bills", user=cast.alice, tier=tier, **call)
        stored = await in_thread(lambda: list(Run.objects.order_by("created_at")))
    return run, stored


both = pytest.mark.parametrize("tier", [Tier.CHEAP, Tier.STANDARD])  # OpenAI's wire format, and Anthropic's


def scripts(tier: Tier, *answers: Any) -> dict[str, list[Any]]:
    return {tier.value: list(answers)}


@both
async def test_a_valid_answer_is_an_object(
    committed_cast: Cast, script: Callable[..., None], server: Stub, tier: Tier
) -> None:
    script(**scripts(tier, says(GOOD)))
    heard: list[str] = []

    async def hear(text: str) -> None:
        heard.append(text)

    run, stored = await ask(committed_cast, tier, on_delta=hear)

    assert run.value == Bill(number="A-1", total=12.5, lines=[Line(text="Stone", cents=1250)])
    assert (run.status, run.error, heard) == ("ok", None, [GOOD])
    assert [each.pk for each in stored] == [run.pk]
    body = server.calls[0].body
    sent = (
        body["response_format"]["json_schema"]["schema"]
        if tier == Tier.CHEAP
        else body["output_config"]["format"]["schema"]
    )
    assert sent["required"] == ["number", "total", "lines"] and sent["additionalProperties"] is False


@both
async def test_a_malformed_answer_is_repaired_once_and_both_calls_are_paid_for(
    committed_cast: Cast, script: Callable[..., None], server: Stub, tier: Tier
) -> None:
    script(**scripts(tier, says('{"number": "A-1", "total": "much"}'), says(GOOD)))
    heard: list[str] = []

    async def hear(text: str) -> None:
        heard.append(text)

    run, (first, second) = await ask(committed_cast, tier, on_delta=hear)

    assert (run.pk, run.status, run.value.number, heard) == (second.pk, "ok", "A-1", [GOOD])
    assert (first.status, first.error_code, first.purpose) == ("failed", "malformed", "answer")
    assert (second.purpose, second.parent_id, second.tier) == ("repair", first.pk, tier)
    assert first.cost_usd > 0 and second.cost_usd > 0 and first.reserved_usd >= first.cost_usd
    *_, said, asked = server.calls[1].body["messages"]
    assert "much" in json.dumps(said) and "total: Input should be a valid number" in json.dumps(asked)


@both
async def test_what_is_malformed_twice_is_a_typed_failure(
    committed_cast: Cast, script: Callable[..., None], server: Stub, tier: Tier
) -> None:
    script(**scripts(tier, says("I'd rather not."), says('{"number": ""}')))
    heard: list[str] = []

    async def hear(text: str) -> None:
        heard.append(text)

    run, stored = await ask(committed_cast, tier, on_delta=hear)

    assert (run.status, run.error_code, run.value, heard) == ("failed", "malformed", None, [])
    assert isinstance(run.error, Malformed) and run.error.text == '{"number": ""}'
    assert run.error.errors == ("number: String should have at least 1 character", "total: Field required")
    assert [each.error_code for each in stored] == ["malformed", "malformed"] and len(server.calls) == 2
    fault = execute.explain(run.error)
    assert fault.code == "malformed" and fault.message and fault.action


@both
async def test_an_answer_that_was_cut_off_is_not_repaired(
    committed_cast: Cast, script: Callable[..., None], server: Stub, tier: Tier
) -> None:
    script(**scripts(tier, says('{"number": "A-1", "tot', reason="length")))

    run, stored = await ask(committed_cast, tier)

    assert (run.status, run.error_code, len(stored), len(server.calls)) == ("failed", "malformed", 1, 1)
    assert isinstance(run.error, Malformed) and "cut off" in run.error.errors[0]
    assert "longer than it may be" in execute.explain(run.error).message


async def test_a_call_that_fails_is_not_called_malformed(
    committed_cast: Cast, script: Callable[..., None], server: Stub
) -> None:
    script(cheap=[(Refuse(400),)])

    run, stored = await ask(committed_cast, Tier.CHEAP)

    assert (run.status, run.error_code, run.value, len(stored)) == ("failed", "bad_request", None, 1)


async def test_the_offline_answerer_only_quotes(committed_cast: Cast) -> None:
    run, stored = await ask(committed_cast, Tier.CHEAP)

    assert (run.status, run.error_code, run.value, len(stored)) == ("failed", "schema_unsupported", None, 1)


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"  \n{GOOD}\n",
        f"```json\n{GOOD}\n```",
        f"Here it is:\n\n```\n{GOOD}\n```\nAnything else?",
        f"Sure! {GOOD}",
        f"{GOOD} That is all.",
    ],
)
def test_json_is_found_where_models_put_it(text: str) -> None:
    assert parse(text, Bill).total == 12.5


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ("", ("there is no JSON in it",)),
        ("No.", ("there is no JSON in it",)),
        ("[1, 2]", ("there is no JSON in it",)),
        ("{}", ("number: Field required", "total: Field required")),
        ('{"number": "1", "total": 1, "lines": [{"text": "x", "cents": -1}]}', ("lines.0.cents: Input should be",)),
        ("{" * 5_000, ("the answer: Invalid JSON",)),
    ],
)
def test_what_is_wrong_is_said_by_its_place(text: str, errors: tuple[str, ...]) -> None:
    with pytest.raises(Malformed) as raised:
        parse(text, Bill)

    said = raised.value.errors
    assert len(said) == len(errors) and all(line.startswith(error) for line, error in zip(said, errors, strict=True))
    assert raised.value.text == text


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
nearly = st.fixed_dictionaries(
    {},
    optional={"number": anything | st.text(), "total": anything | st.floats(), "lines": anything | st.lists(anything)},
)
around = st.sampled_from(["{}", "```json\n{}\n```", "Well: {}", "{} and so on", "{", "}}{{", "```{}"])
any_string = st.text(st.characters(codec=None))  # halves of surrogate pairs too


@given(st.one_of(anything.map(json.dumps), nearly.map(json.dumps), any_string), around)
def test_whatever_a_model_says_is_an_object_or_a_typed_failure(text: str, frame: str) -> None:
    try:
        value = parse(frame.replace("{}", text), Bill)
    except Malformed as malformed:
        assert malformed.errors
    else:
        assert isinstance(value, Bill)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Circle(BaseModel):
    kind: Literal["circle"]
    radius: float = Field(gt=0, description="In metres.")


class Square(BaseModel):
    kind: Literal["square"]
    side: float


class Everything(BaseModel):
    name: str = Field("x", max_length=5, pattern="^x")
    day: date | None = None
    colours: list[Colour] = Field(min_length=1)
    shape: Annotated[Circle | Square, Field(discriminator="kind")]
    nested: Line | None = None
    line: Line = Field(description="The first.")


def test_a_schema_is_strict_and_tells_in_words_what_is_not_enforced() -> None:
    schema = strict(Everything)

    properties = schema["properties"]
    assert list(properties) == schema["required"]
    assert properties["name"] == {"type": "string", "description": 'maxLength: 5, pattern: "^x"'}
    assert properties["day"] == {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}
    assert properties["colours"] == {"type": "array", "items": {"$ref": "#/$defs/Colour"}, "description": "minItems: 1"}
    assert properties["shape"] == {"anyOf": [{"$ref": "#/$defs/Circle"}, {"$ref": "#/$defs/Square"}]}
    assert properties["line"] == {"$ref": "#/$defs/Line"}
    assert schema["$defs"]["Colour"] == {"type": "string", "enum": ["red", "blue"]}
    radius = schema["$defs"]["Circle"]["properties"]["radius"]
    assert radius == {"type": "number", "description": "In metres. (exclusiveMinimum: 0)"}
    assert all(node["additionalProperties"] is False for node in schema["$defs"].values() if "properties" in node)


class Open(BaseModel):
    facts: dict[str, str]


class Whatever(BaseModel):
    value: Any


class Pair(BaseModel):
    both: tuple[int, str]


class Numbers(RootModel[list[int]]):
    pass


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (Open, "Open.facts is an object without named fields"),
        (Whatever, "Whatever.value may be anything"),
        (Pair, "Pair.both is a list of different things"),
        (Numbers, "Numbers is no object with fields"),
    ],
)
def test_what_no_provider_enforces_is_said_before_anybody_is_asked(model: type[BaseModel], says: str) -> None:
    with pytest.raises(TypeError, match=says.replace(".", r"\.")):
        strict(model)
