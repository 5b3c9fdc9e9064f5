"""Listens to a provider's stream: deadlines, completeness, closing. What both SDK providers have in common.

The SDKs leave much undone (measured with openai 3.52 and anthropic 2.11): their timeout is per read, so a slow drip
never times out; a stream that ends early raises nothing; errors inside a stream come as other classes than errors
before it, or as the HTTP library's own; and a stream that isn't closed keeps the provider generating.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ..errors import ContentFiltered, Deadline, DeadlineExceeded, GatewayError, ProviderUnavailable, Truncated
from ..types import BYTES_PER_TOKEN, Attempt, Deadlines, FinishReason, OnDelta, Reply, Request, Target, Usage
from .faults import redacted

# How long to wait for the end of a stream that has said everything: its connection can then be used again.
LINGER_S = 0.5

LONGEST_TOKEN_BYTES = 128
LONG_TOKEN_BYTES = 8  # no language or code needs as many on average: 4 is usual
SPARE_PIECES = 16


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
    sent_bytes: int = 0  # of text and thoughts together
    sent_pieces: int = 0
    is_open: bool = False  # the provider took the request
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

    def hear(self, text: str, thought: str = "") -> None:
        """Notes what one event said. Thoughts are paid for like words."""
        if text:
            self.pieces.append(text)
        if text or thought:
            self.has_begun = True
            self.sent_pieces += 1
            self.sent_bytes += len(text.encode()) + len(thought.encode())

    @property
    def is_past_limit(self) -> bool:
        """Whether more was sent than the request allows, by a server that ignores the limit.

        No token is longer than 128 bytes. Far fewer bytes than that are proof only if there are also more events than
        tokens allowed: a long run of spaces is few tokens, and some servers cut one token into several events.
        """
        limit = self.request.max_output_tokens
        by_both = self.sent_pieces > limit + SPARE_PIECES and self.sent_bytes > limit * LONG_TOKEN_BYTES
        return by_both or self.sent_bytes > limit * LONGEST_TOKEN_BYTES

    def usage_so_far(self, *, is_left: bool = False) -> Usage | None:
        """What it used, estimated where the provider hasn't said; None if nothing is known to have been used.

        is_left says that we went away: a provider that had taken the request was then reading it, and charges that.
        """
        if self.usage and self.is_usage_final and self.is_complete:
            return self.usage
        if not (self.usage or self.has_begun or (is_left and self.is_open)):
            return None
        estimate = Usage.estimate(
            self.request, "", pieces=max(self.sent_pieces, -(-self.sent_bytes // BYTES_PER_TOKEN))
        )
        if not self.usage:
            return estimate
        output_tokens = max(self.usage.output_tokens, estimate.output_tokens)
        return replace(self.usage, output_tokens=output_tokens, estimated=True)


class StreamingProvider(ABC):
    """A provider behind an SDK. A subclass says how to ask, how to read an event and how to read an error."""

    def __init__(
        self, name: str, api_key: str, base_url: str | None, http_client_factory: Callable[[], Any] | None
    ) -> None:
        self.name = name
        self.base_url = base_url
        self._api_key = api_key
        self._http_client_factory = http_client_factory
        self._client: Any = None

    @abstractmethod
    def make_client(self) -> Any:
        """The SDK's async client. Called in a thread, once: importing an SDK takes a second."""

    def client_options(self) -> dict[str, Any]:
        """What both SDKs are told. Retries are ours: theirs could bill twice, and repeat a 429 that means money. So are
        deadlines: their timeout is per read."""
        http_client = self._http_client_factory() if self._http_client_factory else None
        return {"api_key": self._api_key, "max_retries": 0, "timeout": None, "http_client": http_client}

    @abstractmethod
    async def start(self, client: Any, request: Request, model: str) -> Stream:
        """Asks, and returns the open stream."""

    @abstractmethod
    def read(self, event: Any, draft: Draft) -> str:
        """Notes in the draft what the event says, its text too, and returns that text or ""."""

    @abstractmethod
    def translate(self, error: Exception, target: Target) -> GatewayError | None:
        """Our error for what the SDK raised; None if it isn't the provider's."""

    async def complete(self, request: Request, model: str, on_delta: OnDelta, deadlines: Deadlines) -> Reply:
        """See Provider. The stream is closed whichever way this ends; an answer cut off is never a success."""
        draft = Draft(Target(self.name, model), request)
        client = await self.client()
        watch = _Watch(asyncio.get_running_loop(), deadlines)
        failure: GatewayError | None = None
        is_left = False
        try:
            async with asyncio.timeout_at(watch.first_token_at) as timer:
                failure = await self._listen(client, draft, on_delta, watch, timer)
        except BaseException as error:
            if not timer.expired() or not isinstance(error, TimeoutError):
                vars(error)["usage"] = draft.usage_so_far(is_left=True)  # for who settles a call that was cancelled
                raise
            failure, is_left = watch.exceeded(draft), True
        # Raised here, not where it was caught: an exception remembers the one that was being handled, and the
        # SDK's holds the request with the key in its headers.
        if not draft.is_complete:
            failure = failure or Truncated(draft.target)
        elif draft.finish_reason == "filter" and not draft.pieces:
            failure = ContentFiltered(draft.target)
        else:
            return self._reply(draft, watch)
        failure.partial = draft.text
        failure.usage = draft.usage_so_far(is_left=is_left)
        failure.request_id = failure.request_id or draft.request_id
        raise failure

    async def client(self) -> Any:
        """The SDK's client. No deadline holds for making it: that takes as long as importing does."""
        if self._client is None:
            made = await asyncio.to_thread(self.make_client)
            self._client = self._client or made
        return self._client

    def refused(self, error: GatewayError, request: Request) -> GatewayError:
        """A refusal before the stream, seen by who knows what was asked."""
        return error

    async def aclose(self) -> None:
        """Closes the connections. They belong to the event loop that opened them, and so does this object."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _listen(
        self, client: Any, draft: Draft, on_delta: OnDelta, watch: "_Watch", timer: asyncio.Timeout
    ) -> GatewayError | None:
        try:
            stream = await self.start(client, draft.request, draft.target.model)
        except Exception as error:
            if failure := self.translate(error, draft.target):
                return self.refused(failure, draft.request)
            raise
        draft.is_open = True

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
                    timer.reschedule(watch.total_at)  # a slow reader is not a silent provider
                    await on_delta(text)
                if draft.is_past_limit:
                    draft.finish_reason, draft.is_complete = "length", True
                    return None
                timer.reschedule(watch.next_at(draft))

    def _nonsense(self, error: Exception, target: Target) -> GatewayError | None:
        """An event that isn't JSON, or isn't what the protocol says, shows in these when it is read."""
        if not isinstance(error, AttributeError | LookupError | TypeError | ValueError):
            return None
        return ProviderUnavailable(target, detail=redacted(f"malformed event: {error}", self._api_key))

    def _reply(self, draft: Draft, watch: "_Watch") -> Reply:
        latency_ms = watch.elapsed_ms()
        usage = draft.usage_so_far() or Usage.estimate(draft.request, draft.text)
        return Reply(
            text=draft.text,
            target=draft.target,
            model_answered=draft.model_answered or draft.target.model,
            usage=usage,
            finish_reason=draft.finish_reason,
            request_id=draft.request_id,
            ttft_ms=watch.ttft_ms if watch.ttft_ms is not None else latency_ms,
            latency_ms=latency_ms,
            attempts=(Attempt(draft.target, "ok", latency_ms, usage),),
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
