"""Answers by a schema: what each provider is asked, and who can't."""

from dataclasses import replace
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from apps.runs.gateway import client, errors
from apps.runs.gateway.providers.schemas import in_words, strict
from apps.runs.gateway.types import Deadlines, Endpoint, Message
from tests.gateway.conftest import QUESTION
from tests.gateway.stub import Finish, Refuse, Say
from tests.gateway.test_requests import body_of

SCHEMA = {
    "type": "object",
    "title": "Verdict",
    "properties": {
        "is_so": {"type": "boolean"},
        "why": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        "points": {"type": "array", "items": {"$ref": "#/$defs/Point"}},
    },
    "required": ["is_so"],
    "$defs": {"Point": {"type": "object", "properties": {"default": {"type": "integer", "minimum": 1}}}},
}


async def test_openai_is_given_a_strict_one(stub, openai):
    body = await body_of(stub, openai, replace(QUESTION, schema=SCHEMA, schema_name="verdict"))

    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "verdict", "strict": True, "schema": strict(SCHEMA)},
    }


async def test_anthropic_is_given_one_in_its_own_dialect(stub, anthropic):
    body = await body_of(stub, anthropic, replace(QUESTION, schema=SCHEMA))

    form = body["output_config"]["format"]
    assert (form["type"], form["schema"]["additionalProperties"]) == ("json_schema", False)
    assert form["schema"]["$defs"]["Point"]["properties"]["default"]["description"] == "{minimum: 1}"


def test_strict_means_everything_is_required_and_nothing_besides_allowed():
    assert strict(SCHEMA) == {
        "type": "object",
        "title": "Verdict",
        "properties": {
            "is_so": {"type": "boolean"},
            "why": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "points": {"type": "array", "items": {"$ref": "#/$defs/Point"}},
        },
        "required": ["is_so", "why", "points"],
        "additionalProperties": False,
        "$defs": {
            "Point": {
                "type": "object",
                "properties": {"default": {"type": "integer", "minimum": 1}},  # a property of that name stays
                "required": ["default"],
                "additionalProperties": False,
            }
        },
    }


def test_strict_knows_what_pydantic_writes():
    class Cat(BaseModel):
        kind: Literal["cat"] = "cat"

    class Dog(BaseModel):
        kind: Literal["dog"] = "dog"

    class Home(BaseModel):
        pet: Cat | Dog = Field(discriminator="kind")
        guest: Cat = Field(description="Who visits")

    schema = strict(Home.model_json_schema())

    pets = [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]
    assert schema["properties"] == {
        "pet": {"anyOf": pets, "title": "Pet"},
        "guest": {"anyOf": pets[:1], "description": "Who visits"},
    }
    assert schema["$defs"]["Cat"] == {
        "properties": {"kind": {"const": "cat", "title": "Kind", "type": "string"}},
        "required": ["kind"],
        "additionalProperties": False,
        "title": "Cat",
        "type": "object",
    }


async def test_what_openai_cannot_enforce_is_not_called_strict(stub, openai):
    schema = {"type": "object", "additionalProperties": {"type": "integer"}}

    body = await body_of(stub, openai, replace(QUESTION, schema=schema))

    form = body["response_format"]["json_schema"]
    assert (form["strict"], form["schema"]) == (False, schema)


async def test_what_anthropic_cannot_read_is_our_mistake(stub, anthropic, heard):
    schema = {"type": "object", "properties": {"anything": {}}}

    with pytest.raises(errors.BadRequest, match="must have a 'type'"):
        await anthropic.complete(replace(QUESTION, schema=schema), "m", heard, Deadlines())

    assert stub.calls == []


async def test_a_server_that_refuses_it_is_told_in_words_and_the_run_shows_both(stub, openai):
    stub.script("m", Refuse(400, message="response_format is not supported"))
    stub.script_without_schema("m", Say('{"is_so": true}'), Finish())
    request = replace(QUESTION, schema=SCHEMA)

    reply = await client.complete(request, [Endpoint(openai, "m")])

    assert [(a.status, a.is_retry) for a in reply.attempts] == [("schema_refused", False), ("ok", True)]
    told = stub.calls[-1].body
    assert "response_format" not in told
    assert told["messages"][-1]["role"] == "system"
    assert '"is_so"' in told["messages"][-1]["content"]
    assert reply.text == '{"is_so": true}'


async def test_a_request_that_is_refused_with_and_without_is_our_mistake(stub, openai):
    stub.script("m", Refuse(400))

    with pytest.raises(errors.BadRequest) as caught:
        await client.complete(replace(QUESTION, schema=SCHEMA), [Endpoint(openai, "m")])

    assert [a.status for a in caught.value.attempts] == ["schema_refused", "bad_request"]


async def test_anthropics_refusal_is_taken_at_its_word(stub, anthropic):
    stub.script("m", Refuse(400))

    with pytest.raises(errors.BadRequest) as caught:
        await client.complete(replace(QUESTION, schema=SCHEMA), [Endpoint(anthropic, "m")])

    assert [a.status for a in caught.value.attempts] == ["bad_request"]


def test_the_bound_of_the_input_holds_for_words_too():
    request = replace(QUESTION, schema=SCHEMA, messages=(Message("user", "日本語 🎌"),))

    assert in_words(request).most_input_tokens() <= request.most_input_tokens()
    assert request.most_input_tokens() >= len("日本語 🎌".encode())
