import asyncio

import pytest

from apps.runs.gateway import client
from apps.runs.gateway.errors import (
    BadRequest,
    DeadlineExceeded,
    Interrupted,
    KeyRefused,
    ProviderUnavailable,
    Truncated,
)
from apps.runs.gateway.types import Deadlines, Target
from tests.gateway.conftest import QUESTION
from tests.gateway.stub import Cut, EndEarly, Fail, Finish, Refuse, Say, Stall


def statuses(attempts):
    return [(str(attempt.target), attempt.status) for attempt in attempts]


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        (Refuse(529), "unavailable"),
        (Refuse(429, "rate_limit_error"), "rate_limited"),
        (Refuse(401), "key_refused"),
        (Refuse(404), "model_not_found"),
        (Fail("overloaded_error"), "unavailable"),
        (Cut(), "unavailable"),
        (EndEarly(), "truncated"),
        (Stall(), "deadline_exceeded"),
    ],
)
async def test_falls_back_silently_before_the_first_delta(stub, openai, anthropic, heard, trouble, code):
    stub.script("first", trouble)
    stub.script("second", Say("Hello"), Finish())

    reply = await client.complete(
        QUESTION, [(anthropic, "first"), (openai, "second")], on_delta=heard, deadlines=Deadlines(first_token_s=0.3)
    )

    assert heard.pieces == ["Hello"]
    assert reply.target == Target("openai", "second")
    assert statuses(reply.attempts) == [("anthropic/first", code), ("openai/second", "ok")]
    assert reply.latency_ms >= sum(attempt.latency_ms for attempt in reply.attempts) - 2


@pytest.mark.parametrize("trouble", [Fail("server_error"), Cut(), EndEarly(), Stall()])
async def test_no_fallback_after_the_first_delta(stub, provider, openai, heard, trouble):
    stub.script("first", Say("Hel"), trouble)
    stub.script("second", Say("Hello"), Finish())

    with pytest.raises(Interrupted) as caught:
        await client.complete(
            QUESTION, [(provider, "first"), (openai, "second")], on_delta=heard, deadlines=Deadlines(idle_s=0.2)
        )

    error = caught.value
    expected = {EndEarly(): Truncated, Stall(): DeadlineExceeded}.get(trouble, ProviderUnavailable)
    assert type(error.cause) is expected
    assert (error.partial, heard.pieces) == ("Hel", ["Hel"])
    assert error.usage.output_tokens >= 1
    assert statuses(error.attempts) == [(f"{provider.name}/first", error.cause.code)]
    assert len(stub.calls) == 1


async def test_our_own_mistake_is_not_repeated_elsewhere(stub, openai, anthropic):
    stub.script("first", Refuse(400))
    stub.script("second", Say("Hello"), Finish())

    with pytest.raises(BadRequest) as caught:
        await client.complete(QUESTION, [(openai, "first"), (anthropic, "second")])

    assert statuses(caught.value.attempts) == [("openai/first", "bad_request")]


async def test_last_failure_names_every_attempt(stub, openai, anthropic):
    stub.script("first", Refuse(500))
    stub.script("second", Refuse(401))

    with pytest.raises(KeyRefused) as caught:
        await client.complete(QUESTION, [(openai, "first"), (anthropic, "second")])

    assert statuses(caught.value.attempts) == [("openai/first", "unavailable"), ("anthropic/second", "key_refused")]
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


async def test_total_deadline_holds_for_the_whole_chain(stub, openai, anthropic):
    stub.script("first", Stall())
    stub.script("second", Stall())

    with pytest.raises(DeadlineExceeded) as caught:
        await client.complete(
            QUESTION,
            [(openai, "first"), (anthropic, "second"), (openai, "second")],
            deadlines=Deadlines(first_token_s=0.3, total_s=0.5),
        )

    assert [attempt.status for attempt in caught.value.attempts] == ["deadline_exceeded"] * 2
    assert sum(attempt.latency_ms for attempt in caught.value.attempts) < 1000


async def test_cancel_stops_the_chain(stub, openai, anthropic):
    stub.script("first", Say("Hel"), Stall())
    stub.script("second", Say("Hello"), Finish())
    words = asyncio.Event()

    async def hear(text: str) -> None:
        words.set()

    task = asyncio.create_task(client.complete(QUESTION, [(openai, "first"), (anthropic, "second")], on_delta=hear))
    await words.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(stub.calls[0].was_hung_up.wait, 1)
    assert len(stub.calls) == 1


async def test_empty_chain_is_a_mistake():
    with pytest.raises(ValueError, match="no model to ask"):
        await client.complete(QUESTION, [])
