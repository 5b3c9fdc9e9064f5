"""What providers are asked with: marks for their caches, limits, and nobody else's credentials."""

from dataclasses import replace

import httpx2
import pytest

from apps.runs.gateway import errors
from apps.runs.gateway.providers.anthropic import AnthropicProvider
from apps.runs.gateway.providers.openai import OpenAIProvider
from apps.runs.gateway.types import Deadlines, Message, Moderation
from tests.gateway.conftest import KEY, QUESTION
from tests.gateway.stub import Finish, Json, Refuse, Say, Think, Wait

LONG = "The rules of the house. " * 300  # 2,400 tokens by estimate
MARK = {"type": "ephemeral"}


async def body_of(stub, provider, request, model="m", heard=None) -> dict:
    stub.script(model, Say("{}"), Finish())

    async def hear(text: str) -> None:
        pass

    await provider.complete(request, model, heard or hear, Deadlines())
    return stub.calls[-1].body


class TestCaching:
    async def test_anthropic_gets_a_mark_where_the_repeated_beginning_ends(self, stub, anthropic):
        request = replace(
            QUESTION,
            messages=(
                Message("system", "Be brief."),
                Message("system", LONG, cacheable=True),
                Message("user", "Hi", cacheable=True),
                Message("assistant", "Hello"),
                Message("user", "How are you?"),
            ),
        )

        body = await body_of(stub, anthropic, request)

        assert body["system"] == [
            {"type": "text", "text": "Be brief."},
            {"type": "text", "text": LONG, "cache_control": MARK},
        ]
        assert body["messages"] == [
            {"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": MARK}]},
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "How are you?"},
        ]

    @pytest.mark.parametrize(
        ("model", "is_marked"),
        [("claude-haiku-4-5", False), ("claude-opus-4-7", True), ("claude-sonnet-5", True), ("m", True)],
    )
    async def test_only_what_the_model_caches_is_marked(self, stub, anthropic, model, is_marked):
        request = replace(QUESTION, messages=(Message("system", LONG, cacheable=True), Message("user", "Hi")))

        body = await body_of(stub, anthropic, request, model)

        assert isinstance(body["system"], list) == is_marked

    async def test_there_are_at_most_four_marks_the_first_and_the_last_three(self, stub, anthropic):
        turns = [Message("user" if n % 2 else "assistant", f"{n}", cacheable=True) for n in range(1, 8)]
        request = replace(QUESTION, messages=(Message("system", LONG, cacheable=True), *turns))

        body = await body_of(stub, anthropic, request)

        assert body["system"][0]["cache_control"] == MARK
        assert [turn["content"][0]["text"] for turn in body["messages"] if isinstance(turn["content"], list)] == [
            "5",
            "6",
            "7",
        ]

    async def test_others_cache_by_themselves(self, stub, openai):
        request = replace(QUESTION, messages=(Message("system", LONG, cacheable=True),), cache_key="acme")

        body = await body_of(stub, openai, request)

        assert body["messages"] == [{"role": "system", "content": LONG}]
        assert "prompt_cache_key" not in body

    def test_openai_hears_which_calls_belong_together_without_hearing_whose_they_are(self):
        provider = OpenAIProvider(api_key=KEY)
        keys = [provider.options(replace(QUESTION, cache_key=key))["prompt_cache_key"] for key in ("acme", "globex")]

        assert [len(key) for key in keys] == [32, 32]
        assert keys[0] != keys[1]
        assert "acme" not in keys[0]


class TestLimits:
    """A server that ignores max_tokens is cut off; an honest one never is."""

    async def answer(self, stub, provider, heard, limit, *steps):
        stub.script("m", *steps)
        return await provider.complete(replace(QUESTION, max_output_tokens=limit), "m", heard, Deadlines())

    async def test_token_after_token_beyond_the_limit(self, stub, provider, heard):
        reply = await self.answer(stub, provider, heard, 10, *[Say("and so on ")] * 500, Wait(5), Finish())

        assert (reply.finish_reason, reply.usage.estimated) == ("length", True)
        assert len(heard.pieces) == 27  # 10 allowed and 16 spare
        assert reply.usage.output_tokens >= 27
        assert reply.latency_ms < 3000

    async def test_thoughts_beyond_the_limit(self, stub, provider, heard):
        reply = await self.answer(stub, provider, heard, 10, *[Think("let me see ")] * 500, Wait(5), Finish())

        assert (reply.finish_reason, reply.text) == ("length", "")

    async def test_much_in_one_piece(self, stub, provider, heard):
        reply = await self.answer(stub, provider, heard, 10, *[Say("x" * 700)] * 3, Wait(5), Finish())

        assert (reply.finish_reason, len(reply.text)) == ("length", 1400)

    async def test_tokens_cut_into_characters_are_an_honest_answer(self, stub, provider, heard):
        text = "Internationalisation is long. " * 2
        reply = await self.answer(stub, provider, heard, 10, *[Say(letter) for letter in text], Finish())

        assert (reply.finish_reason, reply.text) == ("stop", text)

    async def test_long_runs_of_spaces_are_an_honest_answer(self, stub, provider, heard):
        reply = await self.answer(stub, provider, heard, 10, *[Say(" " * 128)] * 10, Finish())

        assert (reply.finish_reason, len(reply.text)) == ("stop", 1280)


class TestModeration:
    RESULT = {
        "flagged": True,
        "categories": {"hate": False, "hate/threatening": True, "self-harm": False, "violence": True},
        "category_scores": {},
    }

    async def test_says_what_was_flagged_and_as_what(self, stub, openai):
        stub.script("omni", Json({"id": "modr-1", "model": "omni-2026", "results": [self.RESULT]}))

        verdict = await openai.moderate("Some words", "omni", Deadlines())

        assert verdict == Moderation(True, ("hate/threatening", "violence"), "modr-1")
        assert (stub.calls[0].path, stub.calls[0].body) == ("/v1/moderations", {"input": "Some words", "model": "omni"})

    async def test_nothing_flagged(self, stub, openai):
        result = {**self.RESULT, "flagged": False}
        stub.script("omni", Json({"id": "modr-1", "model": "omni-2026", "results": [result]}))

        assert await openai.moderate("Some words", "omni", Deadlines()) == Moderation(False, (), "modr-1")

    @pytest.mark.parametrize(
        ("step", "expected"),
        [
            (Refuse(401, message=KEY), errors.KeyRefused),
            (Refuse(404), errors.ModelNotFound),
            (Refuse(503), errors.ProviderUnavailable),
            (Json({"results": None}), errors.ProviderUnavailable),
            (Wait(5), errors.DeadlineExceeded),
        ],
    )
    async def test_trouble_is_one_of_our_errors_and_holds_no_key(self, stub, openai, step, expected):
        stub.script("omni", step)

        with pytest.raises(errors.GatewayError) as caught:
            await openai.moderate("Some words", "omni", Deadlines(first_token_s=0.3))

        error = caught.value
        assert (type(error), error.__cause__, error.__context__) == (expected, None, None)
        assert KEY not in f"{error} {vars(error)}"


class TestCredentials:
    @pytest.fixture(autouse=True)
    def environment(self, monkeypatch):
        """An installation's own, which a workspace's provider must not carry."""
        for name in ("OPENAI", "ANTHROPIC"):
            monkeypatch.setenv(f"{name}_BASE_URL", "http://127.0.0.1:9/elsewhere")
            monkeypatch.setenv(f"{name}_CUSTOM_HEADERS", "x-house: secret-of-the-house")
            monkeypatch.setenv(f"{name}_API_KEY", "sk-secret-of-the-house")
        monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "secret-of-the-house")
        monkeypatch.setenv("OPENAI_ORG_ID", "secret-of-the-house")
        monkeypatch.setenv("OPENAI_PROJECT_ID", "secret-of-the-house")

    @pytest.mark.parametrize("kind", [OpenAIProvider, AnthropicProvider])
    async def test_nothing_of_the_environment_is_sent(self, stub, kind):
        made: list[httpx2.AsyncClient] = []

        def http_client() -> httpx2.AsyncClient:
            made.append(httpx2.AsyncClient(headers={"x-guarded": "yes"}))
            return made[-1]

        url = stub.base_url("openai" if kind is OpenAIProvider else "anthropic")
        provider = kind(api_key=KEY, base_url=url, name="own", http_client_factory=http_client)

        await body_of(stub, provider, QUESTION)

        headers = stub.calls[0].headers
        assert "secret-of-the-house" not in str(headers)
        assert (headers["authorization"], headers["x-guarded"]) == (f"Bearer {KEY}", "yes")
        await provider.aclose()
        assert [client.is_closed for client in made] == [True]

    @pytest.mark.parametrize(
        ("kind", "host"), [(OpenAIProvider, "api.openai.com"), (AnthropicProvider, "api.anthropic.com")]
    )
    def test_without_an_address_it_is_the_makers(self, kind, host):
        assert kind(api_key=KEY).make_client().base_url.host == host
