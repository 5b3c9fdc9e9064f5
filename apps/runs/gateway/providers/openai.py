"""OpenAI, and every server that speaks its chat completions: Ollama, vLLM, llama.cpp, OpenRouter and others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import GatewayError, ProviderUnavailable
from ..types import FinishReason, Request, Target, Usage
from .faults import fault, redacted
from .streaming import Draft, Stream, StreamingProvider

if TYPE_CHECKING:
    from openai.types import CompletionUsage
    from openai.types.chat import ChatCompletionChunk

FINISH: dict[str, FinishReason] = {"length": "length", "content_filter": "filter"}


class OpenAIProvider(StreamingProvider):
    """Chat completions through the openai SDK. An own server often needs no key: pass any word."""

    def __init__(self, *, api_key: str, base_url: str | None = None, name: str = "openai") -> None:
        super().__init__(name, api_key, base_url)

    def make_client(self) -> Any:
        from openai import AsyncOpenAI

        # Its retries would also repeat a 429 for money, and could bill twice; its timeout is per read. Both are ours.
        return AsyncOpenAI(api_key=self._api_key, base_url=self.base_url, max_retries=0, timeout=None)

    async def start(self, client: Any, request: Request, model: str) -> Stream:
        options = {} if request.temperature is None else {"temperature": request.temperature}
        stream: Stream = await client.chat.completions.create(
            model=model,
            messages=[{"role": message.role, "content": message.content} for message in request.messages],
            stream=True,
            stream_options={"include_usage": True},
            **{name_of_limit(self.base_url): request.max_output_tokens},
            **options,
        )
        return stream

    def read(self, event: ChatCompletionChunk, draft: Draft) -> str:
        draft.model_answered = event.model or draft.model_answered
        draft.request_id = draft.request_id or event.id or ""
        if event.usage:
            draft.usage = inclusive(event.usage)
            draft.is_usage_final = True
        text = ""
        for choice in event.choices or ():
            if choice.delta:
                text += choice.delta.content or choice.delta.refusal or ""
                # Not in OpenAI's protocol: what others stream while the model thinks.
                thought = getattr(choice.delta, "reasoning_content", None) or getattr(choice.delta, "reasoning", None)
                draft.has_begun = draft.has_begun or bool(text or thought)
                if choice.delta.refusal:
                    draft.finish_reason = "filter"
            if choice.finish_reason:
                draft.finish_reason = FINISH.get(choice.finish_reason, draft.finish_reason)
                draft.is_complete = True
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
    host = urlsplit(base_url or "https://api.openai.com").hostname or ""
    return "max_completion_tokens" if host.endswith((".openai.com", ".openai.azure.com")) else "max_tokens"


def message_of(body: object) -> str:
    message = body.get("message") if isinstance(body, dict) else None
    return message if isinstance(message, str) else ""


def inclusive(usage: CompletionUsage) -> Usage:
    """OpenAI's counts are inclusive already: prompt_tokens contain the cached ones and those written."""
    asked, answered = usage.prompt_tokens_details, usage.completion_tokens_details
    return Usage(
        input_tokens=usage.prompt_tokens or 0,
        output_tokens=usage.completion_tokens or 0,
        cached_tokens=(asked and asked.cached_tokens) or 0,
        cache_write_tokens=(asked and asked.cache_write_tokens) or 0,
        reasoning_tokens=(answered and answered.reasoning_tokens) or 0,
    )
