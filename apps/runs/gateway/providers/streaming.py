"""Listens to a provider's stream: deadlines, completeness, closing. What both SDK providers have in common.

The SDKs leave much undone (measured with openai 3.52 and anthropic 2.11): their timeout is per read, so a slow drip
never times out; a stream that ends early raises nothing; errors inside a stream come as other classes than errors
before it, or as the HTTP library's own; and a stream that isn't closed keeps the provider generating.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ..errors import ContentFiltered, Deadline, DeadlineExceeded, GatewayError, ProviderUnavailable, Truncated
from ..types import Attempt, Deadlines, FinishReason, OnDelta, Reply, Request, Target, Usage
from .faults import redacted

# How long to wait for the end of a stream that has said everything: its connection can then be used again.
LINGER_S = 0.5


class Stream(Protocol):
    """What both SDKs return when asked to stream."""

    async def __anext__(self) -> Any: ...
    async def __aenter__(self) -> Any: ...
    async def __aexit__(self, *exception: Any) -> None: ...


@dataclass(slots=True)
class Draft:
    """A reply while it is being written. The provider fills in what each event tells it."""

    target: Target
    request: Request
    pieces: list[str] = field(default_factory=list)
    has_begun: bool = False  # the model generates, if only thoughts so far
    is_complete: bool = False  # the provider said that this is all
    finish_reason: FinishReason = "stop"
    counts: Counter[str] = field(default_factory=Counter)  # tokens, by the provider's own names
    usage: Usage | None = None
    is_usage_final: bool = False
    model_answered: str = ""
    request_id: str = ""

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def usage_so_far(self) -> Usage | None:
        """What it used, estimated where the provider hasn't said; None if nothing is known to have been used."""
        if self.usage and self.is_usage_final:
            return self.usage
        if not self.usage and not self.has_begun:
            return None
        estimate = Usage.estimate(self.request, self.text, pieces=len(self.pieces))
        if not self.usage:
            return estimate
        output_tokens = max(self.usage.output_tokens, estimate.output_tokens)
        return replace(self.usage, output_tokens=output_tokens, estimated=True)


class StreamingProvider(ABC):
    """A provider behind an SDK. A subclass says how to ask, how to read an event and how to read an error."""

    def __init__(self, name: str, api_key: str, base_url: str | None) -> None:
        self.name = name
        self.base_url = base_url
        self._api_key = api_key
        self._client: Any = None

    @abstractmethod
    def make_client(self) -> Any:
        """The SDK's async client. Called in a thread, once: importing an SDK takes a second."""

    @abstractmethod
    async def start(self, client: Any, request: Request, model: str) -> Stream:
        """Asks, and returns the open stream."""

    @abstractmethod
    def read(self, event: Any, draft: Draft) -> str:
        """Notes in the draft what the event says and returns the text it adds, or ""."""

    @abstractmethod
    def translate(self, error: Exception, target: Target) -> GatewayError | None:
        """Our error for what the SDK raised; None if it isn't the provider's."""

    async def complete(self, request: Request, model: str, on_delta: OnDelta, deadlines: Deadlines) -> Reply:
        """See Provider. The stream is closed whichever way this ends; an answer cut off is never a success."""
        draft = Draft(Target(self.name, model), request)
        loop = asyncio.get_running_loop()
        watch = _Watch(loop, deadlines)
        failure: GatewayError | None = None
        try:
            async with asyncio.timeout_at(watch.first_token_at) as timer:
                failure = await self._listen(draft, on_delta, watch, timer)
        except TimeoutError:
            if not timer.expired():
                raise
            failure = watch.exceeded(draft)
        # Raised here, not where it was caught: an exception remembers the one that was being handled, and the
        # SDK's holds the request with the key in its headers.
        if not draft.is_complete:
            failure = failure or Truncated(draft.target)
        elif draft.finish_reason == "filter" and not draft.pieces:
            failure = ContentFiltered(draft.target)
        else:
            return self._reply(draft, watch)
        failure.partial = draft.text
        failure.usage = draft.usage_so_far()
        failure.request_id = failure.request_id or draft.request_id
        raise failure

    async def aclose(self) -> None:
        """Closes the connections. They belong to the event loop that opened them, and so does this object."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _listen(
        self, draft: Draft, on_delta: OnDelta, watch: "_Watch", timer: asyncio.Timeout
    ) -> GatewayError | None:
        if self._client is None:
            made = await asyncio.to_thread(self.make_client)
            self._client = self._client or made
        try:
            stream = await self.start(self._client, draft.request, draft.target.model)
        except Exception as error:
            if failure := self.translate(error, draft.target):
                return failure
            raise

        opened: AbstractAsyncContextManager[Any] = stream
        async with opened:
            while True:
                try:
                    event = await anext(stream)
                    text = self.read(event, draft)
                except StopAsyncIteration:
                    return None
                except Exception as error:
                    if failure := self.translate(error, draft.target) or self._nonsense(error, draft.target):
                        return failure
                    raise
                if text:
                    watch.note_first_delta()
                    draft.pieces.append(text)
                    timer.reschedule(watch.total_at)  # a slow reader is not a silent provider
                    await on_delta(text)
                timer.reschedule(watch.next_at(draft))

    def _nonsense(self, error: Exception, target: Target) -> GatewayError | None:
        """An event that isn't JSON, or isn't what the protocol says, shows in these when it is read."""
        if not isinstance(error, AttributeError | LookupError | TypeError | ValueError):
            return None
        return ProviderUnavailable(target, detail=redacted(f"malformed event: {error}", self._api_key))

    def _reply(self, draft: Draft, watch: "_Watch") -> Reply:
        latency_ms = watch.elapsed_ms()
        return Reply(
            text=draft.text,
            target=draft.target,
            model_answered=draft.model_answered or draft.target.model,
            usage=draft.usage_so_far() or Usage.estimate(draft.request, draft.text),
            finish_reason=draft.finish_reason,
            request_id=draft.request_id,
            ttft_ms=watch.ttft_ms if watch.ttft_ms is not None else latency_ms,
            latency_ms=latency_ms,
            attempts=(Attempt(draft.target, "ok", latency_ms),),
        )


class _Watch:
    """The clock of one call."""

    def __init__(self, loop: asyncio.AbstractEventLoop, deadlines: Deadlines) -> None:
        self.loop = loop
        self.deadlines = deadlines
        self.began_at = loop.time()
        self.total_at = self.began_at + deadlines.total_s
        self.first_token_at = min(self.began_at + deadlines.first_token_s, self.total_at)
        self.ttft_ms: int | None = None

    def elapsed_ms(self) -> int:
        return round((self.loop.time() - self.began_at) * 1000)

    def note_first_delta(self) -> None:
        if self.ttft_ms is None:
            self.ttft_ms = self.elapsed_ms()

    def next_at(self, draft: Draft) -> float:
        """When to stop waiting for the next event."""
        if not draft.has_begun and not draft.is_complete:
            return self.first_token_at
        patience_s = LINGER_S if draft.is_complete and draft.is_usage_final else self.deadlines.idle_s
        return min(self.loop.time() + patience_s, self.total_at)

    def exceeded(self, draft: Draft) -> DeadlineExceeded:
        deadline: Deadline = "idle" if draft.has_begun else "first_token"
        if self.loop.time() >= self.total_at:
            deadline = "total"
        after_s: float = getattr(self.deadlines, f"{deadline}_s")
        return DeadlineExceeded(draft.target, deadline=deadline, after_s=after_s)
