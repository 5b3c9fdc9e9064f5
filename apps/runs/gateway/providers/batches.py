"""Files of requests, answered within a day at a lower price: what both providers' batch APIs have in common.

    file = await batches.submit(lines, label=...)      once: whether a failed one was taken isn't known, see `find`
    file = await batches.poll(file.external_id)        until `file.has_ended`
    async for outcome in batches.results(file): ...    a line each, in no order
    await batches.cancel(file.external_id)             what is answered already stays, and is paid

Everything raises a GatewayError, by the same table as answers that stream. Calls that change nothing are tried again
here; sending a file is not.
"""

import asyncio
import json
import random
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

from ..errors import BadRequest, DeadlineExceeded, GatewayError, ProviderUnavailable
from ..types import FinishReason, Reply, Request, Target, Usage
from .streaming import StreamingProvider

T = TypeVar("T")
P = TypeVar("P", bound=StreamingProvider)

SEND_WITHIN_S = 180.0
ASK_WITHIN_S = 30.0
SILENT_AT_MOST_S = 60.0  # while results are read
TRIES = 3
BACKOFF_S = 0.5
WAIT_AT_MOST_S = 5.0  # for a provider that says when to come again
MOST_LINE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """One request of a file. `custom_id`: letters, digits, - and _, 64 at most; what its outcome is known by."""

    custom_id: str
    request: Request


@dataclass(frozen=True, slots=True)
class File:
    """A file at the provider. `failure`: it was refused as a whole, and no line of it was asked.

    `succeeded` counts answers, which are paid; all others of `total` are not. `parts` are where results are read.
    """

    external_id: str
    has_ended: bool = False
    is_cancelled: bool = False
    total: int = 0
    succeeded: int = 0
    failed: int = 0
    created_at: datetime | None = None
    expires_at: datetime | None = None
    failure: GatewayError | None = None
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one line: a reply, or the error that it ended with, which has the usage if it was paid."""

    custom_id: str
    reply: Reply | None = None
    error: GatewayError | None = None


class Batches(ABC, Generic[P]):
    """Files for one model of a provider. A subclass speaks its wire format."""

    most_lines: ClassVar[int]
    most_bytes: ClassVar[int]

    def __init__(self, provider: P, model: str, *, backoff_s: float = BACKOFF_S) -> None:
        self.provider = provider
        self.backoff_s = backoff_s
        self.target = Target(provider.name, model)

    @abstractmethod
    async def submit(self, lines: Iterable[Line], *, label: str) -> File:
        """Send them, once. label: an id of ours, by which `find` finds the file where the provider keeps such.

        A BadRequest, KeyRefused, OutOfMoney, RateLimited, TooLong or ModelNotFound says that nothing was taken; after
        anything else it may have been.
        """

    @abstractmethod
    async def find(self, label: str, *, since: datetime, total: int) -> list[File]:
        """Files that may be the one with that label and so many lines, sent after `since`; the newest first."""

    @abstractmethod
    async def poll(self, external_id: str) -> File: ...

    @abstractmethod
    async def cancel(self, external_id: str) -> None:
        """Ask for its end, which takes minutes. One that has ended already stays as it is."""

    @abstractmethod
    def pieces(self, client: Any, part: str) -> AsyncGenerator[bytes, None]:
        """The bytes of one part of the results, as they come. Closed when it is closed."""

    @abstractmethod
    def outcome(self, line: dict[str, Any]) -> Outcome | None:
        """What one line of the results says. May raise what reading nonsense raises."""

    async def results(self, file: File) -> AsyncIterator[Outcome]:
        """Each line of what came of it, once it has ended. What can't be read as one is left out.

        Raises a GatewayError where the connection breaks; what was heard until then holds.
        """
        for part in file.parts:
            async with aclosing(self.lines(part)) as lines:
                async for line in lines:
                    if outcome := self.read(line):
                        yield outcome

    def read(self, line: bytes) -> Outcome | None:
        try:
            return self.outcome(json.loads(line))
        except (AttributeError, LookupError, TypeError, ValueError):
            return None

    async def lines(self, part: str) -> AsyncGenerator[bytes, None]:
        """Lines as bytes: a text's own line separators are none of the file's."""
        client = await self.provider.client()
        async with aclosing(self.pieces(client, part)) as pieces:
            rest = b""
            while (piece := await self.asked(lambda: anext(pieces, None), within_s=SILENT_AT_MOST_S)) is not None:
                *whole, rest = (rest + piece).split(b"\n")
                if len(rest) > MOST_LINE_BYTES:
                    raise ProviderUnavailable(self.target, detail="a line of the results has no end")
                for line in filter(bytes.strip, whole):
                    yield line
            if rest.strip():
                yield rest

    async def asked(self, call: Callable[[], Awaitable[T]], *, within_s: float = ASK_WITHIN_S) -> T:
        """What one call of the SDK returns. Raises a GatewayError, and never what the SDK raised: that has the key."""
        failure: GatewayError | None
        try:
            async with asyncio.timeout(within_s) as timer:
                return await call()
        except TimeoutError:
            if not timer.expired():
                raise
            failure = DeadlineExceeded(self.target, deadline="total", after_s=within_s)
        except Exception as error:
            failure = self.translate(error)
            if failure is None:
                raise
        raise failure

    def translate(self, error: Exception) -> GatewayError | None:
        import httpx2

        if isinstance(error, httpx2.HTTPError):  # while results are read, past the SDK
            return ProviderUnavailable(self.target, detail="the connection failed or broke")
        return self.provider.translate(error, self.target) or self.provider._nonsense(error, self.target)

    async def surely(self, call: Callable[[], Awaitable[T]], *, within_s: float = ASK_WITHIN_S) -> T:
        """The same for a call that changes nothing when it is made twice: tried again if that may help."""
        for tried in range(1, TRIES):
            try:
                return await self.asked(call, within_s=within_s)
            except GatewayError as error:
                wait_s = error.retry_after_s or self.backoff_s * tried * random.uniform(0.5, 1.5)  # noqa: S311
                if not error.retryable or wait_s > WAIT_AT_MOST_S:
                    raise
            await asyncio.sleep(wait_s)
        return await self.asked(call, within_s=within_s)

    def reply(self, text: str, *, model: str, usage: Usage | None, finish: FinishReason, request_id: str) -> Reply:
        """usage: None if the provider didn't say, which is then for whoever knows the request to estimate."""
        return Reply(
            text=text,
            target=self.target,
            model_answered=model or self.target.model,
            usage=usage or Usage(0, 0, estimated=True),
            finish_reason=finish,
            request_id=request_id,
            ttft_ms=0,
            latency_ms=0,
            attempts=(),
        )


def is_untaken(error: GatewayError) -> bool:
    """Whether an error of `submit` says that the provider has nothing of it."""
    return isinstance(error, BadRequest) or (
        error.status is not None and 400 <= error.status < 500 and error.status != 408
    )
