"""Every fault, both SDKs, over real HTTP: one attempt of one provider, and then the chain around it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from apps.runs.gateway import client
from apps.runs.gateway.errors import GatewayError, Interrupted
from apps.runs.gateway.providers.anthropic import AnthropicProvider
from apps.runs.gateway.providers.openai import OpenAIProvider
from apps.runs.gateway.providers.streaming import StreamingProvider
from apps.runs.gateway.types import Deadlines, Endpoint
from tests.gateway.conftest import KEY, QUESTION, Noted
from tests.gateway.faults import AFTER, BEFORE, FILTER, Fault, by_sdk
from tests.gateway.stub import Finish, Say

PATIENT = Deadlines(backoff_s=0)
IMPATIENT = {  # short only where a deadline is what the test waits for
    "stall": Deadlines(first_token_s=0.5, idle_s=0.5, backoff_s=0),
    "slow drip": Deadlines(total_s=0.4, backoff_s=0),
}
KINDS = {"openai": OpenAIProvider, "anthropic": AnthropicProvider}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def unreachable(unused_tcp_port_factory) -> AsyncIterator[dict[tuple[str, str], StreamingProvider]]:
    """Providers at an address where nobody listens, and at one that doesn't exist."""
    bases = {
        "connection refused": f"http://127.0.0.1:{unused_tcp_port_factory()}/v1",
        "no such host": "http://provider.invalid/v1",
    }
    made = {(sdk, name): kind(api_key=KEY, base_url=url) for sdk, kind in KINDS.items() for name, url in bases.items()}
    yield made
    for provider in made.values():
        await provider.aclose()


@pytest.fixture
def faulty(stub, openai, anthropic, unreachable):
    """The provider that has this fault, with its model "faulty"."""

    def prepare(sdk: str, fault: Fault) -> StreamingProvider:
        if not fault.steps:
            return unreachable[sdk, fault.name]
        stub.script("faulty", *fault.script())
        return {"openai": openai, "anthropic": anthropic}[sdk]

    return prepare


@pytest.mark.parametrize(("sdk", "fault"), by_sdk(BEFORE + AFTER), ids=str)
async def test_one_attempt(stub, faulty, heard, sdk, fault):
    provider = faulty(sdk, fault)

    with pytest.raises(GatewayError) as caught:
        await provider.complete(QUESTION, "faulty", heard, IMPATIENT.get(fault.name, PATIENT))

    error = caught.value
    assert error.code == fault.code
    assert error.partial == "".join(heard.pieces)
    assert bool(heard.pieces) == (fault.when == "after")
    assert KEY not in f"{error} {error!r} {vars(error)}"
    assert (error.__cause__, error.__context__) == (None, None)
    if fault.when == "after":
        assert error.usage.output_tokens >= len(heard.pieces)
    if fault.code == "deadline_exceeded":  # nobody is left generating
        assert await asyncio.to_thread(stub.calls[0].was_hung_up.wait, 1)


@pytest.mark.parametrize(("sdk", "fault"), by_sdk(BEFORE), ids=str)
async def test_the_chain_before_content(stub, openai, faulty, heard, sdk, fault):
    provider = faulty(sdk, fault)
    stub.script("good", Say("Hello"), Finish())
    chain = [Endpoint(provider, "faulty", circuit="first"), Endpoint(openai, "good", circuit="second")]
    circuits = Noted()

    deadlines = IMPATIENT.get(fault.name, PATIENT)

    outcome = None
    try:
        outcome = await client.complete(QUESTION, chain, on_delta=heard, circuits=circuits, deadlines=deadlines)
        attempts = outcome.attempts
    except GatewayError as error:
        attempts = error.attempts

    tried = [(fault.code, 0, bool(again)) for again in range(fault.tries)]
    assert [(a.status, a.endpoint_index, a.is_retry) for a in attempts] == tried + [("ok", 1, False)] * fault.falls_back
    assert circuits.left == [("first", fault.verdict)] * fault.tries + [("second", "ok")] * fault.falls_back
    assert heard.pieces == ["Hello"] * fault.falls_back
    assert bool(outcome) == fault.falls_back
    assert len([call for call in stub.calls if call.body["model"] == "faulty"]) == (fault.tries if fault.steps else 0)


@pytest.mark.parametrize(("sdk", "fault"), by_sdk(AFTER), ids=str)
async def test_the_chain_after_content_keeps_the_partial(stub, openai, faulty, heard, sdk, fault):
    provider = faulty(sdk, fault)
    chain = [Endpoint(provider, "faulty", circuit="first"), Endpoint(openai, "good", circuit="second")]
    circuits = Noted()

    with pytest.raises(Interrupted) as caught:
        await client.complete(
            QUESTION, chain, on_delta=heard, circuits=circuits, deadlines=IMPATIENT.get(fault.name, PATIENT)
        )

    error = caught.value
    assert (error.code, error.cause.code) == ("interrupted", fault.code)
    assert error.partial == "".join(heard.pieces) != ""
    assert [(a.status, a.endpoint_index, a.is_retry) for a in error.attempts] == [(fault.code, 0, False)]
    assert error.attempts[0].usage.output_tokens >= len(heard.pieces)
    assert circuits.left == [("first", fault.verdict)]


@pytest.mark.parametrize(("sdk", "fault"), by_sdk(AFTER[:-1]), ids=str)
async def test_the_chain_after_content_begins_anew_if_it_may(stub, openai, faulty, sdk, fault):
    provider = faulty(sdk, fault)
    stub.script("good", Say("Good "), Say("day"), Finish())
    chain = [Endpoint(provider, "faulty"), Endpoint(openai, "good")]
    seen: list[str] = []

    async def hear(text: str) -> None:
        seen.append(text)

    async def restart() -> None:
        seen.append("(restart)")

    deadlines = IMPATIENT.get(fault.name, PATIENT)
    outcome = None
    try:
        outcome = await client.complete(QUESTION, chain, on_delta=hear, on_restart=restart, deadlines=deadlines)
    except Interrupted as error:
        assert error.partial == "Hello"

    falls_back = fault.code != "bad_request"
    assert bool(outcome) == falls_back
    assert seen == ["Hel", "lo"] + ["(restart)", "Good ", "day"] * falls_back
    if outcome:
        assert outcome.text == "Good day"
        assert [a.status for a in outcome.attempts] == [fault.code, "ok"]
        assert all(a.usage for a in outcome.attempts)


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
async def test_a_filter_that_strikes_later_is_an_answer_that_says_so(faulty, heard, sdk):
    provider = faulty(sdk, FILTER.after())

    reply = await client.complete(QUESTION, [Endpoint(provider, "faulty")], on_delta=heard)

    assert (reply.text, reply.finish_reason) == ("Hello", "filter")
