"""The words of the gateway: what goes into a model call and what comes out.

Everything is frozen, and token counts are inclusive everywhere: cached tokens and cache writes are part of
input_tokens, reasoning tokens are part of output_tokens, whatever the provider's own convention is.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from .providers.base import Provider

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "filter"]
OnDelta = Callable[[str], Awaitable[None]]
"""Receives each piece of the answer as it arrives. The reply's text is exactly the pieces joined."""
OnRestart = Callable[[], Awaitable[None]]
"""Told that what was heard so far is void: another model begins the answer anew with the next piece."""

BYTES_PER_TOKEN = 3
TOKENS_PER_MESSAGE = 4  # its role and markers
TOKENS_AROUND = 16  # the beginning and the end of a prompt
SCHEMA_TOKENS = 1000  # what a provider tells its model about a schema: a tool's prompt took 300 to 700


def estimate_tokens(text: str) -> int:
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


@dataclass(frozen=True, slots=True)
class Message:
    """`cacheable`: everything up to and including this one comes again, word for word, in later calls."""

    role: Role
    content: str
    cacheable: bool = False


@dataclass(frozen=True, slots=True)
class Passage:
    """A retrieved chunk, as it was numbered for the model and the reader (from 1)."""

    number: int
    title: str
    heading: str
    text: str
    score: float
    lexical: float = 0.0


@dataclass(frozen=True, slots=True)
class Request:
    """One call. Models read the messages; the offline answerer reads the question and the passages.

    `schema` is a JSON schema that the answer must follow, `schema_name` what to call it (letters, digits, - and _).
    `cache_key` is any id that calls with the same beginning share; it leaves the house hashed, if at all.
    `canary` is a word of the system prompt, of letters and digits, that no answer may say.
    """

    messages: tuple[Message, ...]
    max_output_tokens: int
    passages: tuple[Passage, ...] = ()
    question: str = ""
    temperature: float | None = None
    schema: dict[str, Any] | None = None
    schema_name: str = "answer"
    cache_key: str = ""
    canary: str = ""

    def most_input_tokens(self) -> int:
        """More than any model can count: a token is at least one byte, and some are added around what we send."""
        sent = sum(len(message.content.encode()) + TOKENS_PER_MESSAGE for message in self.messages)
        return sent + TOKENS_AROUND + (SCHEMA_TOKENS + len(json.dumps(self.schema)) if self.schema is not None else 0)


TOKEN_COUNTS = (
    *("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "cache_write_1h_tokens"),
    "reasoning_tokens",
)
MOST_TOKENS = 2**31 - 1


def as_count(value: object) -> int:
    """A number of tokens, whatever a provider sent as one: whole, not negative, and no larger than a column holds."""
    try:
        return min(max(int(value), 0), MOST_TOKENS)  # type: ignore[call-overload,no-any-return]
    except (TypeError, ValueError, OverflowError):
        return 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, inclusive: the four kinds below the first two are parts of them.

    cached_tokens, cache_write_tokens and cache_write_1h_tokens are disjoint parts of input_tokens;
    reasoning_tokens is a part of output_tokens. `estimated` says that the provider sent no usage (a cut or a
    cancelled stream, or a server that never does) and the tokens were counted from bytes.
    """

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False

    def __post_init__(self) -> None:
        for name in TOKEN_COUNTS:  # what comes over the wire may be anything
            count = getattr(self, name)
            if type(count) is not int or not 0 <= count <= MOST_TOKENS:
                object.__setattr__(self, name, as_count(count))

    @classmethod
    def estimate(cls, request: Request, text: str, pieces: int = 0) -> Usage:
        """What a call probably used when nobody said: rather too much than too little.

        A token every three bytes is high for European languages (four and more) and about right for Chinese or
        code. `pieces` is how many deltas came: each of them was at least one token.
        """
        asked = sum(estimate_tokens(message.content) + TOKENS_PER_MESSAGE for message in request.messages)
        return cls(asked, max(estimate_tokens(text), pieces), estimated=True)


@dataclass(frozen=True, slots=True)
class Target:
    """One entry of a chain: who is asked, and for which model."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One entry of a chain with what it takes to ask it.

    `circuit` names the breaker that it shares with others, "" for none. `context_tokens` is how many tokens the
    model takes, question and answer together; None if that is not known.
    """

    provider: Provider
    model: str
    circuit: str = ""
    context_tokens: int | None = None

    @property
    def target(self) -> Target:
        return Target(self.provider.name, self.model)


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds until the first content, between two events of the stream, and for the whole call.

    backoff_s is how long to wait, at most, before a failed target is asked a second time.
    """

    first_token_s: float = 30
    idle_s: float = 20
    total_s: float = 180
    backoff_s: float = 0.5


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at an endpoint: "ok", "stopped", the error's code, or "circuit_open" and "skipped" if it wasn't asked.

    `usage` is what it used, None if nothing is known to have been used; `endpoint_index` its place in the chain.
    """

    target: Target
    status: str
    latency_ms: int
    usage: Usage | None = None
    endpoint_index: int = 0
    is_retry: bool = False


MayGoOn = Callable[[int, tuple[Attempt, ...]], Awaitable[bool]]
"""Whether one more attempt may be made, at the endpoint with this index, after attempts that have used tokens."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A finished answer. `model_answered` is the provider's own name for what answered."""

    text: str
    target: Target
    model_answered: str
    usage: Usage
    finish_reason: FinishReason
    request_id: str
    ttft_ms: int
    latency_ms: int
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class Moderation:
    """What a moderation model said of a text. Categories are the provider's own names of those that it flagged."""

    flagged: bool
    categories: tuple[str, ...]
    request_id: str


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors of unit length, float32 [texts, dimensions], in the order of the texts."""

    vectors: npt.NDArray[np.float32]
    model: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens, None where the model has no such price; of requests that are at least so long."""

    input: Decimal | None
    output: Decimal | None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    min_input_tokens: int = 0
