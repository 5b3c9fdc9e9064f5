"""OpenAI, and every server that speaks its chat completions: Ollama, vLLM, llama.cpp, OpenRouter and others."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import BadRequest, DeadlineExceeded, GatewayError, ProviderUnavailable, SchemaRefused
from ..types import Deadlines, FinishReason, Moderation, Request, Target, Usage
from .faults import fault, redacted
from .schemas import has_maps, strict
from .streaming import Draft, Stream, StreamingProvider

if TYPE_CHECKING:
    from openai.types import ModerationCreateResponse

FINISH: dict[str, FinishReason] = {"length": "length", "content_filter": "filter"}


OPENAI_URL = "https://api.openai.com/v1"


class OpenAIProvider(StreamingProvider):
    """Chat completions through the openai SDK. An own server often needs no key: pass any word."""

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str | None = None,
        name: str = "openai",
        http_client_factory: Callable[[], Any] | None = None,
    ) -> None:
        super().__init__(name, api_key, base_url or OPENAI_URL, http_client_factory)

    def make_client(self) -> Any:
        from openai import AsyncOpenAI

        client = AsyncOpenAI(**self.client_options(), base_url=self.base_url)
        # From the environment, which is the installation's and not that of whoever's key this is.
        client.organization = client.project = client.admin_api_key = None
        client._custom_headers = {}
        return client

    async def start(self, client: Any, request: Request, model: str) -> Stream:
        from openai import AsyncStream

        # The SDK's own request, as its method for chat completions would make it, with events as plain JSON: making
        # objects of requests and events takes it longer than all the rest.
        stream: Stream = await client.post(
            "/chat/completions",
            body={**self.body(request, model), "stream": True, "stream_options": {"include_usage": True}},
            cast_to=object,
            stream=True,
            stream_cls=AsyncStream[object],
        )
        return stream

    def body(self, request: Request, model: str) -> dict[str, Any]:
        """What the request says of itself, however it is sent."""
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        return {"model": model, "messages": messages, **self.options(request)}

    def options(self, request: Request) -> dict[str, Any]:
        options: dict[str, Any] = {name_of_limit(self.base_url): request.max_output_tokens}
        if request.temperature is not None:
            options["temperature"] = request.temperature
        if request.schema is not None:
            is_strict = not has_maps(request.schema)
            form = {"name": request.schema_name, "schema": strict(request.schema), "strict": is_strict}
            options["response_format"] = {"type": "json_schema", "json_schema": form}
        if request.cache_key and is_openais(self.base_url):  # which calls to send where the same beginning is cached
            options["prompt_cache_key"] = hashlib.sha256(request.cache_key.encode()).hexdigest()[:32]
        return options

    def refused(self, error: GatewayError, request: Request) -> GatewayError:
        """Servers that know no schemas say so in many ways. OpenAI's own complaints are about the schema itself."""
        if type(error) is not BadRequest or request.schema is None or is_openais(self.base_url):
            return error
        return SchemaRefused(error.target, status=error.status, request_id=error.request_id, detail=error.detail)

    async def moderate(self, text: str, model: str, deadlines: Deadlines) -> Moderation:
        """What a moderation model says of `text`, within the shorter of first_token_s and total_s.

        Raises a GatewayError.
        """
        target = Target(self.name, model)
        failure: GatewayError | None
        limit_s = min(deadlines.first_token_s, deadlines.total_s)
        client = await self.client()
        try:
            async with asyncio.timeout(limit_s) as timer:
                return moderation(await client.moderations.create(input=text, model=model))
        except TimeoutError:
            if not timer.expired():
                raise
            failure = DeadlineExceeded(target, deadline="total", after_s=limit_s)
        except Exception as error:
            failure = self.translate(error, target) or self._nonsense(error, target)
            if failure is None:
                raise
        raise failure  # not where it was caught: the SDK's exception holds the key

    def read(self, event: dict[str, Any], draft: Draft) -> str:
        draft.model_answered = event.get("model") or draft.model_answered
        draft.request_id = draft.request_id or event.get("id") or ""
        usage = event.get("usage")
        if usage and usage.get("prompt_tokens"):  # some count nothing, and say 0
            draft.usage = inclusive(usage)
            draft.is_usage_final = True
        text = thought = ""
        for choice in event.get("choices") or ():
            if delta := choice.get("delta"):
                refusal = delta.get("refusal") or ""
                text += delta.get("content") or refusal
                # Not in OpenAI's protocol: what others stream while the model thinks.
                thought += delta.get("reasoning_content") or delta.get("reasoning") or ""
                if refusal:
                    draft.finish_reason = "filter"
            if reason := choice.get("finish_reason"):
                draft.finish_reason = FINISH.get(reason, draft.finish_reason)
                draft.is_complete = True
        draft.hear(text, thought)
        return text

    def translate(self, error: Exception, target: Target) -> GatewayError | None:
        import openai

        if isinstance(error, openai.APIConnectionError):
            return ProviderUnavailable(target, detail="the connection failed or broke")
        if isinstance(error, openai.APIError):
            answer = error if isinstance(error, openai.APIStatusError) else None  # else inside a stream
            return fault(
                target,
                status=answer.status_code if answer else None,
                names={name for name in (error.code, error.type) if isinstance(name, str)},
                message=message_of(error.body) or error.message,
                headers=answer.response.headers if answer else None,
                request_id=(answer.request_id if answer else None) or "",
                secret=self._api_key,
            )
        if isinstance(error, openai.OpenAIError):
            return ProviderUnavailable(target, detail=redacted(str(error), self._api_key))
        return None


def name_of_limit(base_url: str | None) -> str:
    """OpenAI's newer models refuse max_tokens; many other servers know nothing else."""
    host = urlsplit(base_url or OPENAI_URL).hostname or ""
    return "max_completion_tokens" if host.endswith((".openai.com", ".openai.azure.com")) else "max_tokens"


def is_openais(base_url: str | None) -> bool:
    return (urlsplit(base_url or OPENAI_URL).hostname or "").endswith(".openai.com")


def moderation(answer: ModerationCreateResponse) -> Moderation:
    flagged = [result for result in answer.results if result.flagged]
    names = {name for result in flagged for name, is_so in result.categories.model_dump(by_alias=True).items() if is_so}
    return Moderation(bool(flagged), tuple(sorted(names)), answer.id)


def message_of(body: object) -> str:
    message = body.get("message") if isinstance(body, dict) else None
    return message if isinstance(message, str) else ""


def inclusive(usage: dict[str, Any]) -> Usage:
    """OpenAI's counts are inclusive already: prompt_tokens contain the cached ones and those written."""
    asked, answered = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
    return Usage(
        input_tokens=usage.get("prompt_tokens") or 0,
        output_tokens=usage.get("completion_tokens") or 0,
        cached_tokens=asked.get("cached_tokens") or 0,
        cache_write_tokens=asked.get("cache_write_tokens") or 0,
        reasoning_tokens=answered.get("reasoning_tokens") or 0,
    )
