"""Asks the endpoints of a chain in turn until one answers.

Before the reader has seen anything, an endpoint that fails is asked once more or replaced by the next one, silently.
After that either the answer begins anew with the next one (`on_restart`), or what was heard stays, and the error says
how much it was and why it broke off. The table of what is retried and what falls back is in errors.py.
"""

import asyncio
import random
import time
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any

from .breaker import Circuits, Permit, Verdict
from .errors import Breaker, CircuitOpen, DeadlineExceeded, GatewayError, Interrupted, SchemaRefused, TooLong
from .providers.schemas import in_words
from .routing import context_needed
from .types import Attempt, Deadlines, Endpoint, MayGoOn, OnDelta, OnRestart, Reply, Request, Usage

VERDICTS: dict[Breaker, Verdict] = {"no": "nothing", "counts": "failed", "key": "key"}

_leaving: set[asyncio.Task[None]] = set()


async def complete(
    request: Request,
    chain: Sequence[Endpoint],
    *,
    on_delta: OnDelta | None = None,
    on_restart: OnRestart | None = None,
    circuits: Circuits | None = None,
    may_go_on: MayGoOn | None = None,
    deadlines: Deadlines | None = None,
    attempts: list[Attempt] | None = None,
) -> Reply:
    """One reply from the first endpoint of the chain that gives one.

    The reply's times are those of the whole call, its usage is the last attempt's; every attempt has its own.
    `attempts` is filled as they end, for a caller who cancels: then the last one is "stopped", with what it had used.
    deadlines.total_s holds for the whole chain, the other two for each attempt. `may_go_on` is asked before every
    attempt that follows one that has used tokens, and `on_restart` told before the first piece of an answer that
    begins anew; without it there is no way on after the first piece.

    Raises Interrupted, with the partial, if the answer broke off; CircuitOpen if there was nobody to ask; else the
    last GatewayError. Cancelling closes the provider's stream, counts for no circuit, and goes through; so does
    whatever on_delta raises.
    """
    if not chain:
        raise ValueError("The chain is empty: there is no model to ask.")
    call = _Call(request, chain, on_delta, on_restart, circuits, may_go_on, deadlines or Deadlines())
    if attempts is not None:
        call.attempts = attempts
    outcome = await call.outcome()
    # Raised here, not where it was caught: an exception remembers the one that was being handled.
    if isinstance(outcome, GatewayError):
        raise outcome
    return outcome


class _Call:
    """One call on its way through the chain."""

    def __init__(
        self,
        request: Request,
        chain: Sequence[Endpoint],
        on_delta: OnDelta | None,
        on_restart: OnRestart | None,
        circuits: Circuits | None,
        may_go_on: MayGoOn | None,
        deadlines: Deadlines,
    ) -> None:
        self.request = request
        self.chain = chain
        self.on_delta = on_delta
        self.on_restart = on_restart
        self.circuits = circuits
        self.may_go_on = may_go_on
        self.deadlines = deadlines
        self.began = time.monotonic()
        self.attempts: list[Attempt] = []
        self.ttft_ms: int | None = None
        self.shown: list[str] = []  # what the reader has before them
        self.broken: GatewayError | None = None  # what ended the answer that is shown
        self.too_small = 0  # tokens of the largest context that the request did not fit in

    async def outcome(self) -> Reply | GatewayError:
        failure: GatewayError | None = None  # of who was asked last
        unasked: GatewayError | None = None
        for index, endpoint in enumerate(self.chain):
            if not self.fits(endpoint):
                self.note(index, "skipped")
                unasked = unasked or TooLong(endpoint.target, detail="its context is too small for this request")
                continue
            if not await self.is_covered(index):
                break
            outcome = await self.ask(index)
            if isinstance(outcome, Reply):
                return self.whole(outcome)
            if isinstance(outcome, CircuitOpen):
                unasked = outcome
                continue
            failure = outcome
            if isinstance(outcome, TooLong):
                self.too_small = max(self.too_small, endpoint.context_tokens or 0)
            is_over = self.elapsed_s() >= self.deadlines.total_s or (self.broken and not self.on_restart)
            if is_over or not outcome.fallback:
                break
        ending = self.ending(failure or unasked)
        ending.attempts = tuple(self.attempts)
        return ending

    def ending(self, failure: GatewayError | None) -> GatewayError:
        if self.broken:
            interrupted = Interrupted(self.broken)
            interrupted.partial = "".join(self.shown)
            return interrupted
        assert failure  # the chain isn't empty, and may_go_on is not asked before something was used
        return failure

    async def ask(self, index: int) -> Reply | GatewayError:
        """One endpoint, a second time if that may help: later, or with its schema in words."""
        outcome = await self.attempt(index, self.request)
        if isinstance(outcome, SchemaRefused) and await self.is_covered(index):
            return await self.attempt(index, in_words(self.request), is_retry=True)
        if isinstance(outcome, GatewayError) and outcome.retryable and self.broken is not outcome:
            pause_s = self.pause_s(outcome)
            if pause_s is not None and await self.is_covered(index):
                await asyncio.sleep(pause_s)
                again = await self.attempt(index, self.request, is_retry=True)
                return outcome if isinstance(again, CircuitOpen) else again
        return outcome

    async def attempt(self, index: int, request: Request, *, is_retry: bool = False) -> Reply | GatewayError:
        endpoint = self.chain[index]
        permit: Permit | None = None
        if self.circuits and endpoint.circuit:
            permit = await self.circuits.enter(endpoint.circuit)
            if permit is None:
                self.note(index, CircuitOpen.code, is_retry=is_retry)
                return CircuitOpen(endpoint.target, detail="it has failed too often just now")
        began = time.monotonic()
        said: list[str] = []
        status = "stopped"
        verdict: Verdict = "nothing"
        usage: Usage | None = None
        retry_after_s: float | None = None

        async def hear(text: str) -> None:
            if not said:
                await self.begin_anew()
            said.append(text)
            await self.hear(text)

        left_s = self.deadlines.total_s - self.elapsed_s()
        try:
            reply = await endpoint.provider.complete(
                request, endpoint.model, hear, replace(self.deadlines, total_s=left_s)
            )
            status, verdict, usage = "ok", "ok", reply.usage
            await self.begin_anew()  # if it answered without a word
            return reply
        except GatewayError as error:
            status, usage, retry_after_s = error.code, error.usage, error.retry_after_s
            verdict = VERDICTS[error.breaker]
            if said:
                self.broken = error
                verdict = VERDICTS[Interrupted.breaker] if verdict == "nothing" else verdict
                if isinstance(error, DeadlineExceeded) and error.deadline == "total":  # long, and never silent
                    verdict = "nothing"
            elif is_ours(error, left_s, self.deadlines):
                verdict = "nothing"
            return error
        except BaseException as error:
            usage = getattr(error, "usage", None)
            if usage is None and said:
                usage = Usage.estimate(request, "".join(said), pieces=len(said))
            raise
        finally:
            self.note(index, status, since=began, usage=usage, is_retry=is_retry)
            if self.circuits and permit:
                await surely(self.circuits.leave(permit, verdict, retry_after_s))

    async def hear(self, text: str) -> None:
        if self.ttft_ms is None:
            self.ttft_ms = round(self.elapsed_s() * 1000)
        self.shown.append(text)
        if self.on_delta:
            await self.on_delta(text)

    async def begin_anew(self) -> None:
        """What is shown of a broken answer is void from here on."""
        if self.broken and self.on_restart:
            await self.on_restart()
            self.shown.clear()
            self.broken = None

    def fits(self, endpoint: Endpoint) -> bool:
        """Whether the model probably has room for the request, and is not known to have too little.

        One that has too little after all says so, which costs nothing, and the next with more room is asked.
        """
        room = endpoint.context_tokens
        return room is None or (room >= context_needed(self.request) and room > self.too_small)

    async def is_covered(self, index: int) -> bool:
        """Whether one more attempt may be made: always, until one has used tokens."""
        if self.may_go_on is None or not any(attempt.usage for attempt in self.attempts):
            return True
        return await self.may_go_on(index, tuple(self.attempts))

    def pause_s(self, error: GatewayError) -> float | None:
        """How long to wait before asking again; None if there isn't the time.

        A provider's Retry-After is obeyed if the reader, who has seen nothing yet, then waits no longer than for a
        first token.
        """
        deadlines = self.deadlines
        if error.retry_after_s is None:
            pause_s, until_s = deadlines.backoff_s * random.uniform(0.5, 1), deadlines.total_s  # noqa: S311
        else:
            pause_s, until_s = error.retry_after_s, min(deadlines.first_token_s, deadlines.total_s)
        return pause_s if self.elapsed_s() + pause_s < until_s else None

    def whole(self, reply: Reply) -> Reply:
        latency_ms = round(self.elapsed_s() * 1000)
        return replace(
            reply,
            attempts=tuple(self.attempts),
            ttft_ms=latency_ms if self.ttft_ms is None else self.ttft_ms,
            latency_ms=latency_ms,
        )

    def note(
        self, index: int, status: str, *, since: float | None = None, usage: Usage | None = None, is_retry: bool = False
    ) -> None:
        latency_ms = 0 if since is None else round((time.monotonic() - since) * 1000)
        self.attempts.append(Attempt(self.chain[index].target, status, latency_ms, usage, index, is_retry))

    def elapsed_s(self) -> float:
        return time.monotonic() - self.began


def is_ours(error: GatewayError, left_s: float, deadlines: Deadlines) -> bool:
    """Whether an endpoint was given up only because those before it had used up the time."""
    return isinstance(error, DeadlineExceeded) and error.deadline == "total" and left_s < deadlines.first_token_s


async def surely(leave: Coroutine[Any, Any, None]) -> None:
    """Gives the permit back even if we are cancelled meanwhile."""
    task = asyncio.ensure_future(leave)
    _leaving.add(task)
    task.add_done_callback(_leaving.discard)
    await asyncio.shield(task)
