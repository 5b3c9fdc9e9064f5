"""The same promises against llmock, a server that others wrote: our stub could share our own misunderstandings."""

import pytest

from apps.runs.gateway import client, errors
from apps.runs.gateway.providers.anthropic import AnthropicProvider
from apps.runs.gateway.providers.openai import OpenAIProvider
from apps.runs.gateway.types import Deadlines, Endpoint
from tests.gateway.conftest import QUESTION

MODELS = {"openai": "gpt-any", "anthropic": "claude-any"}


@pytest.fixture(params=["openai", "anthropic"])
async def target(request, llmock):
    kind = OpenAIProvider if request.param == "openai" else AnthropicProvider
    provider = kind(api_key="any", base_url=llmock.base_url(request.param))
    yield Endpoint(provider, MODELS[request.param])
    await provider.aclose()


async def test_answers(llmock, target, heard):
    llmock.reply("Hello from elsewhere")

    reply = await client.complete(QUESTION, [target], on_delta=heard)

    assert reply.text == "".join(heard.pieces) == "Hello from elsewhere"
    assert not reply.usage.estimated
    assert reply.usage.input_tokens > 0


async def test_rate_limit(llmock, target):
    llmock.rate_limit(retry_after=300)

    with pytest.raises(errors.RateLimited) as caught:
        await client.complete(QUESTION, [target])

    assert caught.value.retry_after_s == 300


async def test_context_overflow(llmock, target):
    llmock.context_overflow()

    with pytest.raises(errors.TooLong):
        await client.complete(QUESTION, [target])


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("disconnect", errors.ProviderUnavailable),
        ("truncate", errors.Truncated),
        ("corrupt", errors.ProviderUnavailable),
    ],
)
async def test_broken_streams(llmock, target, fault, expected):
    llmock.reply("one two three four five six seven eight nine ten")
    getattr(llmock, fault)(after_chunks=4)

    with pytest.raises(errors.Interrupted) as caught:
        await client.complete(QUESTION, [target])

    assert type(caught.value.cause) is expected
    assert caught.value.partial


async def test_a_rate_limit_is_waited_for(llmock, target):
    llmock.rate_limit(retry_after=0.1).reply("Here now")

    reply = await client.complete(QUESTION, [target])

    assert (reply.text, [attempt.status for attempt in reply.attempts]) == ("Here now", ["rate_limited", "ok"])


@pytest.mark.parametrize("status", [500, 503, 529])
async def test_an_outage_is_met_twice_and_no_more(llmock, target, status):
    llmock.outage(status=status)

    with pytest.raises(errors.ProviderUnavailable) as caught:
        await client.complete(QUESTION, [target], deadlines=Deadlines(backoff_s=0))

    assert [attempt.is_retry for attempt in caught.value.attempts] == [False, True]


async def test_stall(llmock, target):
    llmock.reply("one two three four five six seven eight nine ten").stall(after_chunks=4, seconds=30)

    with pytest.raises(errors.Interrupted) as caught:
        await client.complete(QUESTION, [target], deadlines=Deadlines(idle_s=0.3))

    assert type(caught.value.cause) is errors.DeadlineExceeded
    assert caught.value.partial


async def test_slow_first_token(llmock, target):
    llmock.slow_first_token(30)

    reply = await client.complete(QUESTION, [target], deadlines=Deadlines(first_token_s=0.5, backoff_s=0))

    assert [attempt.status for attempt in reply.attempts] == ["deadline_exceeded", "ok"]
