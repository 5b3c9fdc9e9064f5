"""Anthropic's Messages API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import GatewayError, ProviderUnavailable
from ..types import FinishReason, Request, Target, Usage
from .faults import fault, redacted
from .streaming import Draft, Stream, StreamingProvider

if TYPE_CHECKING:
    from anthropic.types import MessageDeltaUsage, RawMessageStreamEvent
    from anthropic.types import Usage as AnthropicUsage

FINISH: dict[str, FinishReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "filter",
}


class AnthropicProvider(StreamingProvider):
    """Messages through the anthropic SDK."""

    def __init__(self, *, api_key: str, base_url: str | None = None, name: str = "anthropic") -> None:
        super().__init__(name, api_key, base_url)

    def make_client(self) -> Any:
        from anthropic import AsyncAnthropic

        # Its retries could bill twice and its timeout is per read: both are ours.
        return AsyncAnthropic(api_key=self._api_key, base_url=self.base_url, max_retries=0, timeout=None)

    async def start(self, client: Any, request: Request, model: str) -> Stream:
        from anthropic import omit

        system = "\n\n".join(message.content for message in request.messages if message.role == "system")
        stream: Stream = await client.messages.create(
            model=model,
            system=system or omit,
            messages=[
                {"role": message.role, "content": message.content}
                for message in request.messages
                if message.role != "system"
            ],
            max_tokens=request.max_output_tokens,
            # The newest models refuse a temperature, so the SDK has no argument for it; older ones take it.
            extra_body=None if request.temperature is None else {"temperature": request.temperature},
            stream=True,
        )
        return stream

    def read(self, event: RawMessageStreamEvent, draft: Draft) -> str:
        if event.type == "content_block_delta":
            draft.has_begun = True
            return event.delta.text if event.delta.type == "text_delta" else ""
        if event.type == "message_start":
            draft.model_answered = event.message.model
            draft.request_id = event.message.id
            note_usage(event.message.usage, draft)
        elif event.type == "message_delta":
            draft.finish_reason = FINISH.get(event.delta.stop_reason or "", "stop")
            note_usage(event.usage, draft)
            draft.is_usage_final = True  # what message_start said of the output was a placeholder
        elif event.type == "message_stop":
            draft.is_complete = True
        return ""

    def translate(self, error: Exception, target: Target) -> GatewayError | None:
        import anthropic
        import httpx2

        if isinstance(error, anthropic.APIStatusError):
            is_inside_stream = error.status_code == 200
            return fault(
                target,
                status=None if is_inside_stream else error.status_code,
                names={name for name in (error.type, error.error_code) if isinstance(name, str)},
                message=error.api_message if isinstance(error.api_message, str) else error.message,
                headers=None if is_inside_stream else error.response.headers,
                request_id=error.request_id or "",
                secret=self._api_key,
            )
        # A stream that is cut raises the HTTP library's own exception.
        if isinstance(error, anthropic.APIConnectionError | httpx2.HTTPError):
            return ProviderUnavailable(target, detail="the connection failed or broke")
        if isinstance(error, anthropic.AnthropicError):
            return ProviderUnavailable(target, detail=redacted(str(error), self._api_key))
        return None


def note_usage(reported: AnthropicUsage | MessageDeltaUsage, draft: Draft) -> None:
    """Counts are cumulative; an event repeats only what it knows. Here input excludes what the cache read or wrote."""
    for name in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
        if (count := getattr(reported, name, None)) is not None:
            draft.counts[name] = count
    if by_lifetime := getattr(reported, "cache_creation", None):
        draft.counts["1h"] = by_lifetime.ephemeral_1h_input_tokens or 0
    if of_output := reported.output_tokens_details:
        draft.counts["thinking"] = of_output.thinking_tokens or 0

    read, written = draft.counts["cache_read_input_tokens"], draft.counts["cache_creation_input_tokens"]
    draft.usage = Usage(
        input_tokens=draft.counts["input_tokens"] + read + written,
        output_tokens=draft.counts["output_tokens"],
        cached_tokens=read,
        cache_write_tokens=written - draft.counts["1h"],
        cache_write_1h_tokens=draft.counts["1h"],
        reasoning_tokens=draft.counts["thinking"],
    )
