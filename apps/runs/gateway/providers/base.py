"""What a provider is: the two protocols that the rest of the gateway knows."""

from collections.abc import Sequence
from typing import Protocol

from ..types import Deadlines, Embeddings, OnDelta, Reply, Request


class Provider(Protocol):
    """Answers requests. One call, one attempt: retries and fallback are the client's business."""

    @property
    def name(self) -> str: ...

    async def complete(self, request: Request, model: str, on_delta: OnDelta, deadlines: Deadlines) -> Reply:
        """One reply, whose text went through on_delta piece by piece.

        Raises a GatewayError, with the partial text if some was heard. When it returns, raises or is cancelled, the
        provider's stream is closed. What on_delta raises passes through.
        """
        ...


class Embedder(Protocol):
    """Turns texts into vectors. Synchronous and safe to share between threads."""

    @property
    def model(self) -> str: ...

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """One vector of unit length per text, in order."""
        ...
