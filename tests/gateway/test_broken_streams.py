"""Streams that end badly: each must be an error, keep what was heard, and leave no provider generating."""

import asyncio
from dataclasses import replace

import pytest

from apps.runs.gateway.errors import DeadlineExceeded, GatewayError, ProviderUnavailable, Truncated
from apps.runs.gateway.types import Deadlines, Usage
from tests.gateway.conftest import QUESTION
from tests.gateway.stub import Cut, EndEarly, Fail, Finish, Garbage, Say, Stall, Think, Wait

PATIENT = Deadlines()


async def failure(provider, heard, deadlines=PATIENT) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await provider.complete(QUESTION, "m", heard, deadlines)
    return caught.value


async def hung_up(stub) -> bool:
    return await asyncio.to_thread(stub.calls[-1].was_hung_up.wait, 1)


@pytest.mark.parametrize("ending", [Cut(), EndEarly(), Fail("server_error"), Garbage(), Garbage("[]"), Garbage("7")])
async def test_what_was_heard_is_kept(stub, provider, heard, ending):
    stub.script("m", Say("Hel"), Say("lo"), ending)

    error = await failure(provider, heard)

    assert type(error) is (Truncated if ending == EndEarly() else ProviderUnavailable)
    assert (error.partial, heard.pieces) == ("Hello", ["Hel", "lo"])


async def test_openai_usage_of_a_broken_stream_is_estimated(stub, openai, heard):
    stub.script("m", Say("Hel"), Say("lo"), Cut())

    error = await failure(openai, heard)

    assert error.usage == Usage.estimate(QUESTION, "Hello", pieces=2)


async def test_anthropic_usage_of_a_broken_stream_has_the_real_input(stub, anthropic, heard):
    stub.script("m", *[Say("word ")] * 40, Cut())

    error = await failure(anthropic, heard)

    assert error.usage == Usage(
        120, 67, cached_tokens=100, cache_write_tokens=3, cache_write_1h_tokens=2, estimated=True
    )


async def test_every_delta_is_at_least_one_token(stub, openai, heard):
    stub.script("m", *[Say("a")] * 806, Cut())

    with pytest.raises(GatewayError) as caught:
        await openai.complete(replace(QUESTION, max_output_tokens=1000), "m", heard, PATIENT)

    assert caught.value.usage.output_tokens == 806


@pytest.mark.parametrize("ending", [Cut(), EndEarly(), Garbage()])
async def test_nothing_heard_is_no_partial(stub, provider, heard, ending):
    stub.script("m", ending)

    error = await failure(provider, heard)

    assert (error.partial, heard.pieces, error.fallback) == ("", [], True)


async def test_silence_before_the_first_token(stub, provider, heard):
    stub.script("m", Stall())

    error = await failure(provider, heard, Deadlines(first_token_s=0.2))

    assert (type(error), error.deadline, error.after_s) == (DeadlineExceeded, "first_token", 0.2)
    assert await hung_up(stub)


async def test_who_was_left_working_is_paid_for_what_it_read(stub, openai, heard):
    stub.script("m", Stall())

    error = await failure(openai, heard, Deadlines(first_token_s=0.2))

    assert error.usage == Usage.estimate(QUESTION, "")


async def test_thoughts_are_paid_for(stub, provider, heard):
    stub.script("m", *[Think("let me see now ")] * 20, Cut())

    error = await failure(provider, heard)

    assert (error.partial, error.usage.output_tokens, error.usage.estimated) == ("", 100, True)


async def test_silence_after_some_words(stub, provider, heard):
    stub.script("m", Say("Hel"), Stall())

    error = await failure(provider, heard, Deadlines(idle_s=0.2))

    assert (type(error), error.deadline, error.partial) == (DeadlineExceeded, "idle", "Hel")
    assert await hung_up(stub)


async def test_slow_drip_meets_the_total_deadline(stub, provider, heard):
    stub.script("m", *[Say("drip "), Wait(0.05)] * 100, Finish())

    error = await failure(provider, heard, Deadlines(first_token_s=5, idle_s=5, total_s=0.4))

    assert (type(error), error.deadline) == (DeadlineExceeded, "total")
    assert error.partial == "".join(heard.pieces) != ""
    assert await hung_up(stub)


async def test_thinking_is_not_silence(stub, provider, heard):
    stub.script("m", *[Think("hm "), Wait(0.1)] * 4, Say("Hello"), Finish())

    reply = await provider.complete(QUESTION, "m", heard, Deadlines(first_token_s=0.3, idle_s=0.3))

    assert reply.text == "Hello"


async def test_slow_reader_is_not_a_silent_provider(stub, provider):
    stub.script("m", Say("Hel"), Say("lo"), Finish())

    async def slow(text: str) -> None:
        await asyncio.sleep(0.3)

    reply = await provider.complete(QUESTION, "m", slow, Deadlines(idle_s=0.2))

    assert reply.text == "Hello"


async def test_stream_that_does_not_close_after_its_end_is_a_success(stub, provider, heard):
    stub.script("m", Say("Hello"), Finish(close=False), Stall())

    reply = await provider.complete(QUESTION, "m", heard, Deadlines())

    assert (reply.text, reply.usage.output_tokens) == ("Hello", 7)
    assert reply.latency_ms < 2000
    assert await hung_up(stub)


@pytest.mark.parametrize("script", [(Stall(),), (Say("Hel"), Stall()), tuple([Say("x"), Wait(0.02)] * 500)])
async def test_cancelling_closes_the_stream_within_a_second(stub, provider, script):
    stub.script("m", *script)

    async def hear(text: str) -> None:
        pass

    task = asyncio.create_task(provider.complete(QUESTION, "m", hear, Deadlines()))
    call = await asyncio.to_thread(stub.next_call)
    await asyncio.to_thread(call.has_begun.wait, 5)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert await hung_up(stub)


async def test_trouble_of_the_listener_passes_through_and_closes_the_stream(stub, provider):
    stub.script("m", Say("Hel"), Stall())

    async def broken(text: str) -> None:
        raise TimeoutError("Redis is away")

    with pytest.raises(TimeoutError, match="Redis is away"):
        await provider.complete(QUESTION, "m", broken, Deadlines())
    assert await hung_up(stub)
