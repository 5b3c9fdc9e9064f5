"""The only door to a model. Every call leaves one Run: written with its reservation before a provider is asked, closed
and settled after.

    complete(request, feature=..., on_delta=...) -> Run     text, streamed or not, through the chain of models
    embed(texts, feature=...) -> numpy.ndarray              float32 [n, 384]

The steps of a call, in their order: the guard reads the request, a route is chosen, a similar answer is looked for,
the ledger reserves what the call can cost at most, the chain of models is asked, the guard reads the answer, the
ledger settles. What is expected to go wrong becomes the run's status; `explain` says it to a person.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import numpy as np
from pydantic import BaseModel

from apps.prompts.models import PromptVersion
from apps.tenants.context import require_tenant_id
from apps.tenants.models import ApiKey, Tier, User
from apps.tenants.threads import in_thread, surely

from . import alerts, chain, configuration, guarding, ledger, route, structured
from .admit import CHANGING, STALE_AT_MOST, Call, admit, admit_free, refuse_what_is_off
from .answers import CacheQuery
from .cascade import cascade
from .circuits import circuits
from .configuration import Configuration
from .explain import INTERNAL, Fault, explain
from .gateway import client
from .gateway.errors import GatewayError
from .gateway.types import Attempt, Deadlines, OnDelta, Request
from .models import Policy, Run
from .refusals import Objectionable, Refusal
from .route import Route
from .settle import answer_from_cache, answered, failed, has_room, printable, settle, stopped, take

__all__ = ["CacheQuery", "Fault", "complete", "embed", "explain"]

log = logging.getLogger(__name__)

T = TypeVar("T")
OnRestart = Callable[[], Awaitable[None]]


async def complete(request: Request, *, schema: type[BaseModel] | None = None, **call: Any) -> Run:
    """Answer `request` with the first model of its route's chain that can, of those that the workspace allows.

    feature: what asks, such as "chat"; switches and budgets go by it.
    user, api_key: who asks; limits and budgets go by them.
    prompt_version: whose words the request holds.
    on_delta: hears each piece of the answer. on_restart: is told that what was heard doesn't count, because the
        answer broke off and another model begins anew; without it the partial is kept.
    stop: ends the call when it is set. deadlines: of each model, and of all together.
    tier: forces one. model: and of that one, this model alone. cache: answers a question that was asked before, see
        `CacheQuery`. on_run: is told of each run before it is written.
    schema: a pydantic model which the answer must be; the object is `run.value`.
    parent, purpose: of a call that is made for another one. batch_id: of one that is made for a batch's row.

    Returns the closed run: OK, FAILED or REFUSED with `run.error`, or STOPPED when `stop` was set; `run.text` holds
    what was said in each case. If this coroutine is cancelled the run is closed as stopped, and the cancellation
    goes on.
    """
    if schema is None:
        return await routed(request, **call)
    told = {name: call.pop(name, None) for name in ("tier", "on_delta")}
    return await structured.structured(partial(routed, **call), request, schema, **told)


async def routed(request: Request, **call: Any) -> Run:
    """One answer, or the two and a judgement that a cascade takes for it."""
    known = await known_configuration()
    is_free = call.get("tier") is None and call.get("purpose", Run.Purpose.ANSWER) == Run.Purpose.ANSWER
    if is_free and known.policy.routing == Policy.Routing.CASCADE and not chain.is_quoting(known):
        return await cascade(one_call, request, configuration=known, **call)
    return await one_call(request, **call)


async def one_call(
    request: Request,
    *,
    feature: str,
    user: User | None = None,
    api_key: ApiKey | None = None,
    prompt_version: PromptVersion | None = None,
    on_delta: OnDelta | None = None,
    on_restart: OnRestart | None = None,
    stop: asyncio.Event | None = None,
    deadlines: Deadlines | None = None,
    tier: Tier | None = None,
    cache: CacheQuery | None = None,
    parent: Run | None = None,
    purpose: Run.Purpose = Run.Purpose.ANSWER,
    model: str = "",
    batch_id: UUID | None = None,
    on_run: Callable[[Run], None] | None = None,
) -> Run:
    run = Run(
        tenant_id=require_tenant_id(),
        feature=feature,
        user=user,
        api_key=api_key,
        prompt_version=prompt_version,
        experiment_arm_id=prompt_version.arm_id if prompt_version else None,
        parent=parent,
        purpose=purpose,
        batch_id=batch_id,
    )
    if on_run:
        on_run(run)
    call = Call(request, run, tier=tier, model=model, cache=cache)
    known = await known_configuration()
    for _ in range(STALE_AT_MOST):
        chosen, refusal = await considered(call, known, forced=tier, stop=stop)
        try:
            await admitted(call, chosen, refusal, known)
            break
        except ledger.Stale:
            known = await in_thread(configuration.fresh)
    else:
        raise RuntimeError(CHANGING)
    if run.status == Run.Status.REFUSED:
        return run
    if call.cached:
        return await give_again(call, on_delta)
    return await answer(call, on_delta=on_delta, on_restart=on_restart, stop=stop, deadlines=deadlines or Deadlines())


async def considered(
    call: Call, known: Configuration, *, forced: Tier | None, stop: asyncio.Event | None
) -> tuple[Route, Refusal | None]:
    """What the guard leaves of the request, which is then the call's, and the way it takes; or why it takes none."""
    run = call.run
    try:
        refuse_what_is_off(call, known)
        guarded = await unless_stopped(guarding.before(call.asked, configuration=known, run=run), stop)
        if guarded:
            call.request, call.flags = guarded.request, guarded.flags
        ask = partial(one_call, stop=stop, batch_id=run.batch_id)
        chosen = await route.choose(
            call.request, feature=run.feature, configuration=known, forced=forced, ask=ask, run=run
        )
        return chosen, None
    except Refusal as refusal:
        run.flags = list(refusal.flags) if isinstance(refusal, Objectionable) else []
        return Route(forced or Tier.STANDARD, ""), refusal


async def admitted(call: Call, chosen: Route, refusal: Refusal | None, known: Configuration) -> None:
    """Let the call in or refuse it. Whoever is cancelled meanwhile leaves no reservation behind."""
    admitting = asyncio.ensure_future(in_thread(admit, call, chosen, refusal, known))
    try:
        await asyncio.shield(admitting)
    except asyncio.CancelledError:
        leaving = asyncio.ensure_future(let_go(call, admitting))
        _leaving.add(leaving)
        leaving.add_done_callback(_leaving.discard)
        await asyncio.shield(leaving)
        raise
    except ledger.Stale:
        raise
    except Exception:
        call.run.status, call.run.error_code = Run.Status.FAILED, INTERNAL.code
        await asyncio.shield(in_thread(surely, settle, call))  # it may have been written
        raise


_leaving: set[asyncio.Future[None]] = set()  # so that they are not collected before they are done


async def let_go(call: Call, admitting: asyncio.Future[None]) -> None:
    """Close what is being admitted, once it is."""
    with suppress(ledger.Stale):
        await admitting
    if call.run.status == Run.Status.RUNNING:
        call.run.status = Run.Status.STOPPED
        await in_thread(surely, settle, call)


async def answer(
    call: Call,
    *,
    on_delta: OnDelta | None,
    on_restart: OnRestart | None,
    stop: asyncio.Event | None,
    deadlines: Deadlines,
) -> Run:
    """Ask the chain for an admitted call, and close its run whatever comes of it."""
    run = call.run

    async def hear(text: str) -> None:
        if call.ttft_ms is None:
            call.ttft_ms = elapsed_ms(call.began)
        text = printable(text)
        call.said.append(text)
        if on_delta:
            await on_delta(text)

    async def begin_again() -> None:
        call.said.clear()
        await watch.begin_again()
        if on_restart:
            await on_restart()

    async def may_go_on(index: int, attempts: tuple[Attempt, ...]) -> bool:
        return await in_thread(has_room, call, index)

    restarts = call.known.policy.on_break == Policy.OnBreak.RESTART and (on_restart or not on_delta)
    watch = guarding.Watch(hear, call.request, run=run, configuration=call.known)
    run.status, run.error_code = Run.Status.FAILED, INTERNAL.code
    try:
        calling = client.complete(
            call.request,
            [chain.endpoint(choice) for choice in call.choices],
            on_delta=watch,
            on_restart=begin_again if restarts else None,
            circuits=circuits(),
            may_go_on=may_go_on,
            deadlines=deadlines,
            attempts=call.attempts,
        )
        reply = await unless_stopped(calling, stop)
        if reply is None:
            await watch.release()
        else:
            await unless_stopped(watch.finish(), stop)
        if reply is None or (stop and stop.is_set()):
            stopped(call)
        else:
            answered(call, reply)
    except GatewayError as error:
        log.warning("run %s: %s", run.id, error)
        await watch.release()
        failed(call, error)
        if call.scope and (restarts or not call.said) and await in_thread(answer_from_cache, call):
            if call.said:
                await begin_again()
            if on_delta:
                await on_delta(run.text)
    except Objectionable as objection:  # the guard's, about the answer
        stopped(call)
        run.status, run.error, run.error_code = Run.Status.REFUSED, objection, objection.code
        run.flags = [*run.flags, *objection.flags]
    except asyncio.CancelledError:
        stopped(call)
        raise
    finally:
        run.text = run.text or "".join(call.said)
        run.ttft_ms, run.latency_ms = call.ttft_ms, elapsed_ms(call.began)
        await asyncio.shield(in_thread(surely, settle, call))
    return run


async def give_again(call: Call, on_delta: OnDelta | None) -> Run:
    """Answer with what a similar question was answered before."""
    run, found = call.run, call.cached
    assert found is not None
    take(run, found)
    try:
        if on_delta:
            await on_delta(run.text)
    finally:
        run.latency_ms = run.ttft_ms = elapsed_ms(call.began)
        await asyncio.shield(in_thread(surely, settle, call))
    return run


def embed(texts: Sequence[str], *, feature: str, user: User | None = None) -> np.ndarray:
    """Unit vectors of `texts`, float32 [len(texts), 384]. One run for the whole batch. Raises SwitchedOff."""
    model = chain.embedder()
    run = Run(
        tenant_id=require_tenant_id(),
        kind=Run.Kind.EMBEDDING,
        feature=feature,
        user=user,
        provider="local",
        model=model.model,
        tier="embedding",
    )
    admit_free(run)
    if run.error:
        raise run.error
    began = time.monotonic()
    run.status, run.error_code, run.cost_usd = Run.Status.FAILED, INTERNAL.code, Decimal(0)
    try:
        embeddings = model.embed(texts)
        run.status, run.error_code, run.input_tokens = Run.Status.OK, "", embeddings.usage.input_tokens
    finally:
        run.latency_ms = elapsed_ms(began)
        alerts.send(ledger.close(run))
    return embeddings.vectors


async def known_configuration() -> Configuration:
    if known := configuration.kept():
        return known
    return await in_thread(configuration.current)


async def unless_stopped(calling: Coroutine[Any, Any, T], stop: asyncio.Event | None) -> T | None:
    """What it returns, or None if `stop` is set first; a provider's stream is closed before this returns."""
    if stop is None:
        return await calling
    call, stopping = asyncio.ensure_future(calling), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({call, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return call.result() if call.done() else None
    finally:
        for task in (call, stopping):
            task.cancel()
        await asyncio.gather(call, stopping, return_exceptions=True)


def elapsed_ms(since: float) -> int:
    return round((time.monotonic() - since) * 1000)
