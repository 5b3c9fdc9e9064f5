"""Anthropic's Messages API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import BadRequest, GatewayError, ProviderUnavailable
from ..types import FinishReason, Message, Request, Target, Usage, estimate_tokens
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


# The shortest beginning that a model caches, in tokens. A mark on a shorter one does nothing and costs nothing.
# https://platform.claude.com/docs/en/build-with-claude/prompt-caching
CACHES_FROM = (
    (("claude-haiku-4-5", "claude-opus-4-5", "claude-opus-4-6"), 4096),
    (("claude-opus-4-7",), 2048),
    (("claude-opus-5", "claude-fable-5", "claude-mythos-5"), 512),
    (("",), 1024),
)
MOST_MARKS = 4
MARK = {"cache_control": {"type": "ephemeral"}}

ANTHROPIC_URL = "https://api.anthropic.com"


class AnthropicProvider(StreamingProvider):
    """Messages through the anthropic SDK."""

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str | None = None,
        name: str = "anthropic",
        http_client_factory: Callable[[], Any] | None = None,
    ) -> None:
        super().__init__(name, api_key, base_url or ANTHROPIC_URL, http_client_factory)

    def make_client(self) -> Any:
        from anthropic import AsyncAnthropic

        client = AsyncAnthropic(**self.client_options(), base_url=self.base_url)
        # From the environment, which is the installation's and not that of whoever's key this is.
        client._custom_headers = {}
        return client

    async def start(self, client: Any, request: Request, model: str) -> Stream:
        body = self.body(request, model)
        # The newest models refuse a temperature, so the SDK has no argument for it; older ones take it.
        more = {"temperature": body.pop("temperature")} if "temperature" in body else None
        stream: Stream = await client.messages.create(**body, extra_body=more, stream=True)
        return stream

    def body(self, request: Request, model: str) -> dict[str, Any]:
        """What the request says of itself, however it is sent."""
        system = [message for message in request.messages if message.role == "system"]
        turns = [message for message in request.messages if message.role != "system"]
        marked = marks([*system, *turns], model)
        messages = [
            {"role": turn.role, "content": content([turn], marked, at=at)} for at, turn in enumerate(turns, len(system))
        ]
        body: dict[str, Any] = {"model": model, "messages": messages, "max_tokens": request.max_output_tokens}
        if system:
            body["system"] = content(system, marked, at=0)
        if request.schema is not None:
            body["output_config"] = {"format": self.form(request.schema, model)}
        if request.temperature is not None:
            body["temperature"] = request.temperature
        return body

    def form(self, schema: dict[str, Any], model: str) -> dict[str, Any]:
        from anthropic import transform_schema

        try:
            return {"type": "json_schema", "schema": transform_schema(schema)}
        except ValueError as error:  # parts without a type
            raise BadRequest(
                Target(self.name, model), detail=f"the schema is not one for this provider: {error}"
            ) from None

    def read(self, event: RawMessageStreamEvent, draft: Draft) -> str:
        if event.type == "content_block_delta":
            delta = event.delta
            text = delta.text if delta.type == "text_delta" else ""
            draft.hear(text, delta.thinking if delta.type == "thinking_delta" else "")
            draft.has_begun = True  # also by a delta of a kind we don't know
            return text
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


def marks(messages: Sequence[Message], model: str) -> set[int]:
    """Which of the messages, in the order of the wire, end a beginning that is worth caching.

    The first such is what other conversations share; the last ones are where this conversation goes on.
    """
    shortest = next(tokens for names, tokens in CACHES_FROM if model.startswith(names))
    found, tokens = [], 0
    for at, message in enumerate(messages):
        tokens += estimate_tokens(message.content)
        if message.cacheable and tokens >= shortest:
            found.append(at)
    return {*found[:1], *found[1:][1 - MOST_MARKS :]}


def content(messages: Sequence[Message], marked: set[int], *, at: int) -> Any:
    """Their text, of which the first is number `at`: one string, or blocks if any is marked."""
    numbered = list(enumerate(messages, at))
    if not any(number in marked for number, _ in numbered):
        return "\n\n".join(message.content for message in messages)
    return [
        {"type": "text", "text": message.content, **(MARK if number in marked else {})} for number, message in numbered
    ]


def note_usage(reported: AnthropicUsage | MessageDeltaUsage, draft: Draft) -> None:
    """Counts are cumulative; an event repeats only what it knows. Here input excludes what the cache read or wrote."""
    for name in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
        if (count := getattr(reported, name, None)) is not None:
            draft.counts[name] = count
    if by_lifetime := getattr(reported, "cache_creation", None):
        draft.counts["1h"] = by_lifetime.ephemeral_1h_input_tokens or 0
    if of_output := reported.output_tokens_details:
        draft.counts["thinking"] = of_output.thinking_tokens or 0

    draft.usage = inclusive(draft.counts)


def inclusive(counts: Counter[str]) -> Usage:
    """From Anthropic's counts by their names, those of one hour's writes as "1h" and of thoughts as "thinking"."""
    read, written = counts["cache_read_input_tokens"], counts["cache_creation_input_tokens"]
    return Usage(
        input_tokens=counts["input_tokens"] + read + written,
        output_tokens=counts["output_tokens"],
        cached_tokens=read,
        cache_write_tokens=written - counts["1h"],
        cache_write_1h_tokens=counts["1h"],
        reasoning_tokens=counts["thinking"],
    )
