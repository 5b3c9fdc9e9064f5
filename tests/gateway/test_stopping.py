"""A call that is stopped closes its stream, blames nobody, gives its permit back and says what it used."""

import asyncio

import pytest

from apps.runs.gateway import client
from apps.runs.gateway.types import Endpoint, Target, Usage
from tests.gateway.conftest import QUESTION, Noted
from tests.gateway.stub import Say, Stall, Think


@pytest.mark.parametrize(
    ("script", "output_tokens"),
    [((Stall(),), 0), ((Say("Hel"), Stall()), 1), ((*[Think("a thought ")] * 30, Stall()), 100)],
)
async def test_closes_the_stream_counts_for_nobody_and_says_what_was_used(
    stub, provider, openai, script, output_tokens
):
    stub.script("first", *script)
    circuits, attempts = Noted(), []
    chain = [Endpoint(provider, "first", "circuit-1"), Endpoint(openai, "second", "circuit-2")]
    task = asyncio.create_task(client.complete(QUESTION, chain, circuits=circuits, attempts=attempts))
    call = await asyncio.to_thread(stub.next_call)
    await asyncio.to_thread(call.has_begun.wait, 5)
    await asyncio.sleep(0.2)  # what was sent has to arrive; nothing here shows that it has

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(call.was_hung_up.wait, 1)
    assert (circuits.left, len(stub.calls)) == ([("circuit-1", "nothing")], 1)
    (attempt,) = attempts
    assert (attempt.status, attempt.target) == ("stopped", Target(provider.name, "first"))
    assert attempt.usage.estimated
    assert attempt.usage.input_tokens == (
        120 if provider.name == "anthropic" else Usage.estimate(QUESTION, "").input_tokens
    )
    assert attempt.usage.output_tokens == max(output_tokens, provider.name == "anthropic")


async def test_a_permit_is_given_back_by_who_is_cancelled_twice(stub, openai):
    stub.script("m", Stall())
    leaving, left = asyncio.Event(), asyncio.Event()
    circuits = Noted()

    async def leave(permit, verdict, retry_after_s=None):
        leaving.set()
        await asyncio.sleep(0.1)
        left.set()

    circuits.leave = leave
    task = asyncio.create_task(client.complete(QUESTION, [Endpoint(openai, "m", "c")], circuits=circuits))
    await asyncio.to_thread(stub.next_call)

    task.cancel()
    await leaving.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(left.wait(), 1)


async def test_trouble_of_the_listener_is_nobodys_fault(stub, provider):
    stub.script("m", Say("Hel"), Stall())
    circuits, attempts = Noted(), []

    async def broken(text):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await client.complete(
            QUESTION, [Endpoint(provider, "m", "c")], on_delta=broken, circuits=circuits, attempts=attempts
        )

    assert circuits.left == [("c", "nothing")]
    assert attempts[0].usage.output_tokens == 1
