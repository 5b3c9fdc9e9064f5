"""Every model call leaves one Run: real SDKs over real HTTP against a local server that speaks their wire formats."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from apps.runs import chain, execute
from apps.runs.gateway.errors import GatewayError
from apps.runs.gateway.types import Message, Request
from apps.runs.models import ModelPrice, Run, Spend
from apps.tenants.context import tenant_context
from apps.tenants.threads import in_thread
from tests.conftest import Cast
from tests.gateway.stub import Cut, EndEarly, Fail, Finish, Refuse, Say, Stall, Stub

KEY = "sk-corbel-canary-0123456789abcdef"
QUESTION = Request(
    messages=(Message("system", "Be brief."), Message("user", "Say hello.")), max_output_tokens=200, question="Hello?"
)


@pytest.fixture(params=["openai", "anthropic"])
def stub(request: pytest.FixtureRequest, server: Stub, settings: Any) -> Stub:
    """One provider configured, and its cheapest priced model scripted by the test as `stub.model`."""
    server.calls.clear()
    server.scripts.clear()
    if request.param == "openai":
        settings.OPENAI_API_KEY, settings.OPENAI_BASE_URL = KEY, server.base_url("openai")
        server.model = settings.OPENAI_MODEL
    else:
        settings.ANTHROPIC_API_KEY, settings.ANTHROPIC_BASE_URL = KEY, server.base_url("anthropic")
        server.model = settings.ANTHROPIC_MODEL
    server.provider = request.param
    return server


@pytest.fixture
def both(server: Stub, settings: Any) -> Stub:
    """OpenAI first, Anthropic as its fallback."""
    server.calls.clear()
    server.scripts.clear()
    settings.OPENAI_API_KEY, settings.OPENAI_BASE_URL = KEY, server.base_url("openai")
    settings.ANTHROPIC_API_KEY, settings.ANTHROPIC_BASE_URL = KEY, server.base_url("anthropic")
    return server


async def complete(cast: Cast, **fields: Any) -> Run:
    with tenant_context(cast.acme):
        run = await execute.complete(QUESTION, feature="chat", user=cast.alice, **fields)
        stored = await in_thread(Run.objects.get)
    assert stored == run
    stored.text, stored.error = run.text, run.error
    return stored


async def test_a_reply_leaves_one_run_with_its_price(committed_cast: Cast, stub: Stub) -> None:
    stub.script(stub.model, Say("Hel"), Say("lo."), Finish())
    heard: list[str] = []

    async def hear(text: str) -> None:
        heard.append(text)

    run = await complete(committed_cast, on_delta=hear)

    assert (run.text, heard) == ("Hello.", ["Hel", "lo."])
    assert (run.status, run.provider, run.model) == ("ok", stub.provider, stub.model)
    assert run.model_answered == f"{stub.model}-2026"
    assert (run.input_tokens, run.cached_tokens, run.cache_write_tokens) == (120, 100, 5)
    assert (run.output_tokens, run.reasoning_tokens, run.is_estimated) == (7, 3, False)
    assert run.request_id and run.finished_at and run.ttft_ms <= run.latency_ms
    assert run.cost_usd == await in_thread(expected_cost, stub)
    assert [attempt["status"] for attempt in run.attempts] == ["ok"]


def expected_cost(stub: Stub) -> Decimal:
    """By hand: 15 fresh tokens, 100 read from the cache, 5 written to it (2 of them for an hour), 7 out."""
    price = ModelPrice.objects.of(stub.provider, stub.model, input_tokens=120)
    write = price.cache_write_usd if price.cache_write_usd is not None else price.input_usd
    hour = price.cache_write_1h_usd if price.cache_write_1h_usd is not None else write
    written = write * 3 + hour * 2 if stub.provider == "anthropic" else write * 5
    total = price.input_usd * 15 + price.cache_read_usd * 100 + written + price.output_usd * 7
    return (total / 1_000_000).quantize(Decimal("0.000001"), rounding="ROUND_CEILING")


async def test_a_model_without_a_price_is_refused_and_not_asked(
    committed_cast: Cast, server: Stub, settings: Any
) -> None:
    server.calls.clear()
    settings.OPENAI_API_KEY, settings.OPENAI_BASE_URL = KEY, server.base_url("openai")
    settings.OPENAI_MODEL = server.script("house-model", Say("Hi."), Finish())

    run = await complete(committed_cast)

    assert (run.status, run.error_code, run.cost_usd) == ("refused", "unpriced", 0)
    assert (run.provider, run.model, list(server.calls)) == ("openai", "house-model", [])
    assert "openai/house-model" in str(run.error)


@pytest.mark.parametrize(
    ("step", "code"),
    [
        (Refuse(500), "unavailable"),
        (Refuse(401), "key_refused"),
        (Refuse(404), "model_not_found"),
        (Refuse(400), "bad_request"),
        (Refuse(429), "rate_limited"),
        (EndEarly(), "truncated"),
        (Cut(), "unavailable"),
    ],
)
async def test_a_failure_is_a_failed_run_with_its_code(
    committed_cast: Cast, stub: Stub, step: Any, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    stub.script(stub.model, step)

    run = await complete(committed_cast)

    assert (run.status, run.error_code, run.text) == ("failed", code, "")
    if isinstance(step, Refuse):
        assert (run.input_tokens, run.output_tokens, run.cost_usd) == (0, 0, Decimal(0))
    else:  # Anthropic had counted the input before it broke off, both times, and charges for it
        assert run.input_tokens == (240 if stub.provider == "anthropic" else 0)
    fault = execute.explain(run.error)
    assert fault.message and fault.action
    assert KEY not in str(run.error) + repr(run.error) + caplog.text + str(fault)


async def test_what_was_said_before_a_break_is_kept_and_charged(committed_cast: Cast, stub: Stub) -> None:
    stub.script(stub.model, Say("Half an "), Say("answer"), Fail("overloaded_error"))

    run = await complete(committed_cast)

    assert (run.status, run.error_code, run.text) == ("failed", "interrupted", "Half an answer")
    assert run.is_estimated or run.input_tokens == 120
    assert run.output_tokens > 0 and run.cost_usd > 0


async def test_a_failing_provider_falls_back_before_the_first_word(
    committed_cast: Cast, both: Stub, settings: Any
) -> None:
    both.script(settings.OPENAI_MODEL, Refuse(503))
    both.script(settings.ANTHROPIC_MODEL, Say("Still here."), Finish())

    run = await complete(committed_cast)

    assert (run.status, run.provider, run.provider_answered) == ("ok", "openai", "anthropic")
    assert run.text == "Still here."
    tried = [("openai", "unavailable"), ("openai", "unavailable"), ("anthropic", "ok")]
    assert [(a["provider"], a["status"]) for a in run.attempts] == tried


async def test_stop_closes_the_provider_and_settles_the_partial(committed_cast: Cast, stub: Stub) -> None:
    stub.script(stub.model, Say("Once upon "), Say("a time"), Stall())
    stop = asyncio.Event()

    async def hear(text: str) -> None:
        if text == "a time":
            stop.set()

    run = await complete(committed_cast, on_delta=hear, stop=stop)

    assert await asyncio.to_thread(stub.calls[0].was_hung_up.wait, 1)
    assert (run.status, run.text, run.is_estimated) == ("stopped", "Once upon a time", True)
    assert run.output_tokens >= 2 and run.cost_usd > 0


async def test_a_cancelled_call_is_closed_and_its_run_settled(committed_cast: Cast, stub: Stub) -> None:
    stub.script(stub.model, Say("Once"), Stall())
    heard = asyncio.Event()

    async def hear(text: str) -> None:
        heard.set()

    with tenant_context(committed_cast.acme):
        task = asyncio.create_task(execute.complete(QUESTION, feature="chat", on_delta=hear))
        await asyncio.wait_for(heard.wait(), 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        run = await in_thread(Run.objects.get)

    assert await asyncio.to_thread(stub.calls[0].was_hung_up.wait, 1)
    assert (run.status, run.output_tokens > 0) == ("stopped", True)


async def test_a_call_cancelled_while_it_is_let_in_leaves_no_reservation(committed_cast: Cast, stub: Stub) -> None:
    stub.script(stub.model, Say("Once"), Stall())

    with tenant_context(committed_cast.acme):
        task = asyncio.create_task(execute.complete(QUESTION, feature="chat"))
        while not task.done():
            await asyncio.sleep(0)
            if await in_thread(Run.objects.exists) or len(asyncio.all_tasks()) > 2:
                task.cancel()
                break
        with pytest.raises(asyncio.CancelledError):
            await task
        runs = await in_thread(lambda: list(Run.objects.all()))
        reserved = await in_thread(lambda: [spend.day_reserved_usd for spend in Spend.objects.all()])

    assert {run.status for run in runs} <= {"stopped"}
    assert set(reserved) <= {0}


async def test_a_bug_of_ours_closes_the_run_too(committed_cast: Cast, stub: Stub) -> None:
    stub.script(stub.model, Say("Once"), Stall())

    async def broken(text: str) -> None:
        raise ZeroDivisionError

    with tenant_context(committed_cast.acme):
        with pytest.raises(ZeroDivisionError):
            await execute.complete(QUESTION, feature="chat", on_delta=broken)
        run = await in_thread(Run.objects.get)

    assert (run.status, run.error_code, run.is_estimated) == ("failed", "internal", True)
    assert run.cost_usd > 0  # the provider has answered and will charge


async def test_the_run_is_written_before_the_provider_is_asked(committed_cast: Cast, stub: Stub) -> None:
    stub.script(stub.model, Say("Hi"), Finish())
    seen: list[str] = []

    async def hear(text: str) -> None:
        seen.append((await in_thread(Run.objects.get)).status)

    await complete(committed_cast, on_delta=hear)

    assert seen == ["running"]


def test_embeddings_leave_a_run_with_tokens_and_a_price_of_nothing(cast: Cast) -> None:
    with tenant_context(cast.acme):
        vectors = execute.embed(["one text", "another text"], feature="ingest", user=cast.bob)
        run = Run.objects.get()

    assert (vectors.shape, str(vectors.dtype)) == ((2, 384), "float32")
    assert (run.kind, run.status, run.feature, run.user) == ("embedding", "ok", "ingest", cast.bob)
    assert run.input_tokens > 2 and run.cost_usd == 0


def test_every_error_of_the_gateway_has_words_for_a_reader(cast: Cast) -> None:
    def every(cls: type[GatewayError]) -> Iterator[type[GatewayError]]:
        for sub in cls.__subclasses__():
            yield sub
            yield from every(sub)

    for cls in every(GatewayError):
        error = cls.__new__(cls)
        fault = execute.explain(error)
        assert fault.code == cls.code and fault.message.endswith(".") and fault.action.endswith(".")


async def test_without_a_key_the_offline_answerer_answers_and_says_what_it_is(committed_cast: Cast) -> None:
    assert chain.is_offline()

    run = await complete(committed_cast)

    assert (run.provider, run.model, run.cost_usd) == ("offline", "extractive-1", 0)
    assert "no model key is configured" in run.text
