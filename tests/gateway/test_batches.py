"""Files of requests at both providers, over real HTTP: sent, found again, polled, read, cancelled."""

import json
import traceback
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from apps.runs.gateway.errors import GatewayError, KeyRefused, ProviderUnavailable
from apps.runs.gateway.providers.anthropic import AnthropicProvider
from apps.runs.gateway.providers.batch_anthropic import AnthropicBatches
from apps.runs.gateway.providers.batch_openai import OpenAIBatches
from apps.runs.gateway.providers.batches import Batches, Line, Outcome, is_untaken
from apps.runs.gateway.providers.openai import OpenAIProvider
from apps.runs.gateway.types import Message, Request, Usage
from tests.gateway.batch_stub import BatchStub, Breaks, Expires, Fails, Half, Raw, Says, Vanishes
from tests.gateway.conftest import KEY
from tests.gateway.stub import Refuse

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
USED = {
    "openai": Usage(120, 7, cached_tokens=100, cache_write_tokens=5, reasoning_tokens=3),
    "anthropic": Usage(120, 7, cached_tokens=100, cache_write_tokens=3, cache_write_1h_tokens=2, reasoning_tokens=3),
}


@pytest.fixture(scope="module")
def batch_server() -> Iterator[BatchStub]:
    with BatchStub().serving() as stub:
        yield stub


@pytest.fixture
def stub(batch_server: BatchStub) -> BatchStub:
    batch_server.forget()
    return batch_server


@pytest_asyncio.fixture(params=["openai", "anthropic"], loop_scope="session")
async def batches(request: pytest.FixtureRequest, stub: BatchStub) -> AsyncIterator[Batches]:
    url = stub.base_url(request.param)
    if request.param == "openai":
        made: Batches = OpenAIBatches(OpenAIProvider(api_key=KEY, base_url=url), "gpt-5-mini", backoff_s=0)
    else:
        made = AnthropicBatches(AnthropicProvider(api_key=KEY, base_url=url), "claude-haiku-4-5", backoff_s=0)
    yield made
    await made.provider.aclose()


def line(custom_id: str, said: str, **more: object) -> Line:
    return Line(custom_id, Request((Message("system", "Be brief."), Message("user", said)), 50, **more))


async def outcomes(batches: Batches, external_id: str) -> dict[str, Outcome]:
    found = [each async for each in batches.results(await batches.poll(external_id))]
    assert len({each.custom_id for each in found}) == len(found)
    return {each.custom_id: each for each in found}


async def test_a_file_is_sent_polled_and_read_line_by_line(batches: Batches, stub: BatchStub) -> None:
    stub.says("Rome", Says('{"city": "Röme\u2028"}', "length"))
    lines = [line("a", "Paris"), line("b", "Rome", schema=SCHEMA, temperature=0.5)]

    sent = await batches.submit(lines, label="label-1")

    assert (sent.has_ended, sent.total) == (False, 2)
    assert not (await batches.poll(sent.external_id)).has_ended
    stub.end()
    file = await batches.poll(sent.external_id)
    assert (file.has_ended, file.succeeded, file.failed, file.is_cancelled) == (True, 2, 0, False)
    assert file.expires_at is not None and file.expires_at > datetime.now(UTC) + timedelta(hours=23)
    found = await outcomes(batches, sent.external_id)
    paris, rome = found["a"].reply, found["b"].reply
    assert paris is not None and rome is not None
    assert (paris.text, paris.finish_reason, paris.usage) == ("Said: Paris", "stop", USED[batches.provider.name])
    assert (rome.text, rome.finish_reason) == ('{"city": "Röme\u2028"}', "length")
    assert paris.model_answered == f"{batches.target.model}-2026"
    body = stub.kept[sent.external_id].lines[1][2]
    assert body["temperature"] == 0.5
    assert json.dumps(body).count('"city"') >= 2  # the schema went along


async def test_each_line_that_went_wrong_says_why(batches: Batches, stub: BatchStub) -> None:
    scripts = {
        "bad_request": Fails(400, "invalid_request_error", f"no {KEY}"),
        "rate_limited": Fails(429, "rate_limit_error"),
        "unavailable": Fails(500, "api_error"),
        "content_filtered": Says("", "content_filter"),
        "expired": Expires(),
        "cancelled": Expires("cancelled"),
    }
    for code, script in scripts.items():
        stub.says(f"case {code}", script)
    stub.says("case nonsense", Raw("{"))
    stub.says("case strange", Raw('{"custom_id": "strange", "result": 7, "response": 7}'))
    stub.says("case vanished", Vanishes())
    names = [*scripts, "nonsense", "strange", "vanished"]
    sent = await batches.submit([line(name, f"case {name}") for name in names], label="x")
    stub.end()

    found = await outcomes(batches, sent.external_id)

    assert {name: outcome.error.code for name, outcome in found.items()} == {code: code for code in scripts}
    assert found["content_filtered"].error.usage == USED[batches.provider.name]
    assert found["bad_request"].error.usage is None
    assert KEY not in str(found["bad_request"].error)


async def test_a_file_is_found_again_by_what_the_provider_knows_of_it(batches: Batches, stub: BatchStub) -> None:
    for label in "abcd":
        await batches.submit([line("x", label)] * (2 if label == "b" else 1), label=label)
    stub.next("create", Breaks())
    with pytest.raises(ProviderUnavailable) as caught:
        await batches.submit([line("y", "lost"), line("z", "lost")] * 2, label="lost")

    found = await batches.find("lost", since=LONG_AGO, total=4)

    assert not is_untaken(caught.value)
    assert [stub.kept[file.external_id].lines[0][1] for file in found] == ["lost"]
    assert await batches.find("lost", since=datetime.now(UTC) + timedelta(hours=1), total=4) == []
    assert await batches.find("never", since=LONG_AGO, total=5) == []


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (Refuse(400, "invalid_request_error"), "bad_request"),
        (Refuse(401, message=f"Incorrect key: {KEY}"), "key_refused"),
        (Refuse(403), "key_refused"),
        (Refuse(404), "model_not_found"),
        (Refuse(413), "too_long"),
        (Refuse(429, "rate_limit_error"), "rate_limited"),
    ],
    ids=lambda value: getattr(value, "status", None),
)
async def test_a_refusal_says_that_nothing_was_taken_and_holds_no_key(
    batches: Batches, stub: BatchStub, refusal: Refuse, code: str
) -> None:
    stub.next("create", refusal)

    with pytest.raises(GatewayError) as caught:
        await batches.submit([line("a", "Paris")], label="x")

    assert (caught.value.code, is_untaken(caught.value)) == (code, True)
    assert stub.asked.count("create") == 1
    assert KEY not in "".join(traceback.format_exception(caught.value))


async def test_only_calls_that_change_nothing_are_made_again(batches: Batches, stub: BatchStub) -> None:
    stub.next("create", Refuse(500))
    with pytest.raises(ProviderUnavailable) as caught:
        await batches.submit([line("a", "Paris")], label="x")
    assert (stub.asked.count("create"), is_untaken(caught.value)) == (1, False)
    sent = await batches.submit([line("a", "Paris")], label="x")
    stub.next("retrieve", Refuse(503), Breaks())
    stub.next("cancel", Refuse(529))

    assert not (await batches.poll(sent.external_id)).has_ended
    await batches.cancel(sent.external_id)

    assert (stub.asked.count("retrieve"), stub.asked.count("cancel")) == (3, 2)
    stub.next("retrieve", Refuse(401))
    with pytest.raises(KeyRefused):
        await batches.poll(sent.external_id)
    stub.next("retrieve", Refuse(429, headers=(("retry-after", "60"),)))
    with pytest.raises(GatewayError) as caught:
        await batches.poll(sent.external_id)
    assert caught.value.retry_after_s == 60


async def test_a_cancelled_file_keeps_what_was_answered(batches: Batches, stub: BatchStub) -> None:
    stub.says("Paris", Says("Oui."))
    sent = await batches.submit([line("a", "Paris"), line("b", "Rome")], label="x")
    await batches.cancel(sent.external_id)
    assert not (await batches.poll(sent.external_id)).has_ended
    stub.end("cancelled")

    file = await batches.poll(sent.external_id)
    found = await outcomes(batches, sent.external_id)

    assert (file.has_ended, file.is_cancelled, file.succeeded) == (True, True, 1)
    assert found["a"].reply.text == "Oui." and found["b"].error.code == "cancelled"


async def test_a_download_that_breaks_says_so_after_what_it_had(batches: Batches, stub: BatchStub) -> None:
    sent = await batches.submit([line(f"line-{n}", "Paris") for n in range(9)], label="x")
    stub.end()
    file = await batches.poll(sent.external_id)
    stub.next("content", Half(1_000))
    heard = []

    with pytest.raises(ProviderUnavailable):
        async for outcome in batches.results(file):
            heard.append(outcome.custom_id)

    assert 0 < len(heard) < 9


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("invalid_json_line", "bad_request"),
        ("token_limit_exceeded", "rate_limited"),
        ("model_not_found", "model_not_found"),
    ],
)
@pytest.mark.parametrize("batches", ["openai"], indirect=True)  # Anthropic refuses when it is sent
async def test_a_file_refused_as_a_whole_says_why(batches: Batches, stub: BatchStub, code: str, expected: str) -> None:
    sent = await batches.submit([line("a", "Paris")], label="x")
    stub.end("failed", errors=[{"code": code, "message": f"no {KEY}", "line": 3, "param": None}])

    file = await batches.poll(sent.external_id)

    assert (file.has_ended, file.failure.code, file.parts) == (True, expected, ())
    assert KEY not in str(file.failure)


async def test_a_reply_without_usage_says_that_it_is_not_known(batches: Batches, stub: BatchStub) -> None:
    stub.says("Paris", Says("Oui.", usage=False))
    sent = await batches.submit([line("a", "Paris")], label="x")
    stub.end()

    (outcome,) = [each async for each in batches.results(await batches.poll(sent.external_id))]

    assert replace(outcome.reply, text="").usage == Usage(0, 0, estimated=True)
