"""Asks the targets of a chain in turn until one answers.

Before the reader has seen anything, a target that fails is replaced by the next one silently. After that there is no
way back: what was heard stays, and the error says how much it was and why it broke off.
"""

import time
from collections.abc import Sequence
from dataclasses import replace

from .errors import GatewayError, Interrupted
from .providers.base import Provider
from .types import Attempt, Deadlines, OnDelta, Reply, Request


async def complete(
    request: Request,
    chain: Sequence[tuple[Provider, str]],
    *,
    on_delta: OnDelta | None = None,
    deadlines: Deadlines | None = None,
) -> Reply:
    """One reply from the first (provider, model) of the chain that gives one.

    The reply's times are those of the whole call and its attempts name every target tried. deadlines.total_s holds
    for the whole chain, the other two for each target. Raises Interrupted, with the partial and its usage, if the
    answer broke off; else the last target's GatewayError. Cancelling closes the provider's stream and goes through,
    and so does whatever on_delta raises.
    """
    if not chain:
        raise ValueError("The chain is empty: there is no model to ask.")
    deadlines = deadlines or Deadlines()
    attempts: list[Attempt] = []
    began = time.monotonic()
    ttft_ms: int | None = None

    async def hear(text: str) -> None:
        nonlocal ttft_ms
        if ttft_ms is None:
            ttft_ms = elapsed_ms(began)
        if on_delta:
            await on_delta(text)

    for provider, model in chain:
        began_attempt = time.monotonic()
        left_s = deadlines.total_s - (began_attempt - began)
        try:
            reply = await provider.complete(request, model, hear, replace(deadlines, total_s=left_s))
        except GatewayError as error:
            failure = error
        else:
            latency_ms = elapsed_ms(began)
            return replace(
                reply,
                attempts=(*attempts, Attempt(reply.target, "ok", elapsed_ms(began_attempt))),
                ttft_ms=latency_ms if ttft_ms is None else ttft_ms,
                latency_ms=latency_ms,
            )
        attempts.append(Attempt(failure.target, failure.code, elapsed_ms(began_attempt)))
        failure.attempts = tuple(attempts)
        if ttft_ms is not None:
            raise Interrupted(failure)
        if not failure.fallback or time.monotonic() - began >= deadlines.total_s:
            break
    raise failure


def elapsed_ms(since: float) -> int:
    return round((time.monotonic() - since) * 1000)
