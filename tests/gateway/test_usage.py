"""One way of counting for both: OpenAI's counts include what the cache read or wrote, Anthropic's leave it out."""

import json

import pytest
from anthropic.types import MessageDeltaUsage
from anthropic.types import Usage as AnthropicUsage

from apps.runs.gateway.errors import ProviderUnavailable
from apps.runs.gateway.providers.anthropic import note_usage
from apps.runs.gateway.providers.openai import inclusive
from apps.runs.gateway.providers.streaming import Draft
from apps.runs.gateway.types import Deadlines, Target, Usage
from tests.gateway.conftest import QUESTION
from tests.gateway.stub import Cut, Finish, Garbage, Say


def openais(**details) -> Usage:
    return inclusive({"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050, **details})


def anthropics(start: dict, *deltas: dict) -> Usage:
    draft = Draft(Target("anthropic", "m"), QUESTION)
    note_usage(AnthropicUsage.model_validate({"output_tokens": 1, **start}), draft)
    for delta in deltas:
        note_usage(MessageDeltaUsage.model_validate(delta), draft)
    return draft.usage


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({}, Usage(1000, 50)),
        ({"prompt_tokens_details": None, "completion_tokens_details": None}, Usage(1000, 50)),
        ({"prompt_tokens_details": {"cached_tokens": None}}, Usage(1000, 50)),
        ({"prompt_tokens_details": {"cached_tokens": 900}}, Usage(1000, 50, cached_tokens=900)),
        (
            {"prompt_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 300}},
            Usage(1000, 50, cached_tokens=600, cache_write_tokens=300),
        ),
        ({"completion_tokens_details": {"reasoning_tokens": 40}}, Usage(1000, 50, reasoning_tokens=40)),
    ],
)
def test_openai(details, expected):
    assert openais(**details) == expected


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ({"input_tokens": 1000}, {"output_tokens": 50}, Usage(1000, 50)),
        (
            {"input_tokens": 100, "cache_read_input_tokens": 900, "cache_creation_input_tokens": None},
            {"output_tokens": 50},
            Usage(1000, 50, cached_tokens=900),
        ),
        (
            {"input_tokens": 100, "cache_read_input_tokens": 600, "cache_creation_input_tokens": 300},
            {"output_tokens": 50},
            Usage(1000, 50, cached_tokens=600, cache_write_tokens=300),
        ),
        (
            {
                "input_tokens": 100,
                "cache_read_input_tokens": 600,
                "cache_creation_input_tokens": 300,
                "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
            },
            {"output_tokens": 50, "output_tokens_details": {"thinking_tokens": 40}},
            Usage(1000, 50, cached_tokens=600, cache_write_tokens=100, cache_write_1h_tokens=200, reasoning_tokens=40),
        ),
        # The last event repeats the input, more exactly: not to be added to what the first one said.
        (
            {"input_tokens": 90, "cache_read_input_tokens": 900, "cache_creation_input_tokens": 0},
            {
                "input_tokens": 100,
                "cache_read_input_tokens": 900,
                "cache_creation_input_tokens": 0,
                "output_tokens": 50,
            },
            Usage(1000, 50, cached_tokens=900),
        ),
    ],
)
def test_anthropic(start, end, expected):
    assert anthropics(start, end) == expected


def test_both_make_the_same_of_the_same():
    assert anthropics(
        {"input_tokens": 100, "cache_read_input_tokens": 600, "cache_creation_input_tokens": 300},
        {"output_tokens": 50, "output_tokens_details": {"thinking_tokens": 40}},
    ) == openais(
        prompt_tokens_details={"cached_tokens": 600, "cache_write_tokens": 300},
        completion_tokens_details={"reasoning_tokens": 40},
    )


async def test_a_server_that_says_nought_is_not_free(stub, openai, heard):
    stub.script("m", Say("Hello"), Finish(counts={"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}))

    reply = await openai.complete(QUESTION, "m", heard, Deadlines(idle_s=0.2))

    assert reply.usage == Usage.estimate(QUESTION, "Hello")


async def test_counts_before_the_end_are_not_the_last_word(stub, openai, heard):
    chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []}
    early = {**chunk, "usage": {"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 9}}
    stub.script("m", Garbage(json.dumps(early)), *[Say("word ")] * 30, Cut())

    with pytest.raises(ProviderUnavailable) as caught:
        await openai.complete(QUESTION, "m", heard, Deadlines())

    assert caught.value.usage == Usage(9, 50, estimated=True)
