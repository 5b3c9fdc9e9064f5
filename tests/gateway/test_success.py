from dataclasses import replace

import pytest

from apps.runs.gateway.errors import ContentFiltered
from apps.runs.gateway.providers.openai import name_of_limit
from apps.runs.gateway.types import Attempt, Deadlines, Message, Target, Usage
from tests.gateway.conftest import KEY, QUESTION
from tests.gateway.stub import Finish, Say, Think


async def test_reply_is_what_was_heard(stub, provider, heard):
    stub.script("m", Say("Hel"), Say("lo"), Finish())

    reply = await provider.complete(QUESTION, "m", heard, Deadlines())

    assert heard.pieces == ["Hel", "lo"]
    assert reply.text == "Hello"
    assert reply.target == Target(provider.name, "m")
    assert reply.model_answered == "m-2026"
    assert reply.finish_reason == "stop"
    assert reply.request_id == {"openai": "chatcmpl-1", "anthropic": "msg_1"}[provider.name]
    assert reply.attempts == (Attempt(reply.target, "ok", reply.latency_ms, reply.usage),)
    assert 0 <= reply.ttft_ms <= reply.latency_ms


async def test_openai_counts_are_inclusive_already(stub, openai, heard):
    stub.script("m", Say("Hello"), Finish())

    reply = await openai.complete(QUESTION, "m", heard, Deadlines())

    assert reply.usage == Usage(120, 7, cached_tokens=100, cache_write_tokens=5, reasoning_tokens=3)


async def test_anthropic_counts_are_made_inclusive(stub, anthropic, heard):
    stub.script("m", Say("Hello"), Finish())

    reply = await anthropic.complete(QUESTION, "m", heard, Deadlines())

    assert reply.usage == Usage(
        120, 7, cached_tokens=100, cache_write_tokens=3, cache_write_1h_tokens=2, reasoning_tokens=3
    )


async def test_usage_is_estimated_when_the_server_sends_none(stub, openai, heard):
    stub.script("m", Say("Hello, "), Say("you"), Finish(usage=False))

    reply = await openai.complete(QUESTION, "m", heard, Deadlines(idle_s=0.2))

    assert reply.usage == Usage.estimate(QUESTION, "Hello, you")
    assert reply.usage.estimated


async def test_openai_is_asked_in_its_own_words(stub, openai, heard):
    stub.script("m", Say("Hello"), Finish())

    await openai.complete(replace(QUESTION, temperature=0.5), "m", heard, Deadlines())

    (call,) = stub.calls
    assert call.path == "/v1/chat/completions"
    assert call.headers["authorization"] == f"Bearer {KEY}"
    assert call.body == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say hello."}],
        "max_tokens": 50,
        "temperature": 0.5,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        (None, "max_completion_tokens"),
        ("https://eu.api.openai.com/v1", "max_completion_tokens"),
        ("https://acme.openai.azure.com/openai/v1", "max_completion_tokens"),
        ("http://localhost:11434/v1", "max_tokens"),
        ("https://notopenai.com/v1", "max_tokens"),
    ],
)
def test_each_server_gets_the_limit_by_the_name_it_knows(base_url, expected):
    assert name_of_limit(base_url) == expected


async def test_anthropic_keeps_a_temperature_that_its_sdk_has_no_argument_for(stub, anthropic, heard):
    stub.script("m", Say("Hello"), Finish())

    await anthropic.complete(replace(QUESTION, temperature=0.5), "m", heard, Deadlines())

    assert stub.calls[0].body["temperature"] == 0.5


async def test_anthropic_is_asked_in_its_own_words(stub, anthropic, heard):
    stub.script("m", Say("Hello"), Finish())

    await anthropic.complete(QUESTION, "m", heard, Deadlines())

    (call,) = stub.calls
    assert call.path == "/v1/messages"
    assert call.headers["authorization"] == f"Bearer {KEY}"
    assert call.body == {
        "model": "m",
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "Say hello."}],
        "max_tokens": 50,
        "stream": True,
    }


async def test_request_without_a_system_message(stub, anthropic, heard):
    stub.script("m", Say("Hello"), Finish())

    await anthropic.complete(replace(QUESTION, messages=(Message("user", "Hi"),)), "m", heard, Deadlines())

    assert "system" not in stub.calls[0].body


@pytest.mark.parametrize(("reason", "expected"), [("length", "length"), ("content_filter", "filter")])
async def test_finish_reasons_have_one_name(stub, provider, heard, reason, expected):
    stub.script("m", Say("Hello"), Finish(reason))

    reply = await provider.complete(QUESTION, "m", heard, Deadlines())

    assert (reply.text, reply.finish_reason) == ("Hello", expected)


async def test_refusing_before_a_word_is_an_error(stub, provider, heard):
    stub.script("m", Finish("content_filter"))

    with pytest.raises(ContentFiltered) as caught:
        await provider.complete(QUESTION, "m", heard, Deadlines())

    assert caught.value.usage.input_tokens == 120


async def test_thoughts_are_not_part_of_the_answer(stub, provider, heard):
    stub.script("m", Think("Hmm. "), Say("Hello"), Finish())

    reply = await provider.complete(QUESTION, "m", heard, Deadlines())

    assert (reply.text, heard.pieces) == ("Hello", ["Hello"])


async def test_connections_are_used_again(stub, provider, heard):
    stub.script("m", Say("Hello"), Finish())

    for _ in range(3):
        await provider.complete(QUESTION, "m", heard, Deadlines())

    assert len(stub.calls) == 3
    assert len({call.connection for call in stub.calls}) == 1
