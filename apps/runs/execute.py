"""The only door to a model. Every call leaves one Run: written before the provider is asked, closed after.

    complete(request, feature=..., on_delta=...) -> Run     text, streamed or not, through the chain of models
    embed(texts, feature=...) -> numpy.ndarray              float32 [n, 384]

What is expected of a provider becomes the run's status; `explain` says it to a person.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.utils import timezone

from apps.prompts.models import PromptVersion
from apps.tenants.context import require_tenant_id
from apps.tenants.models import Tenant, User
from apps.tenants.threads import in_thread, surely

from .chain import Chain, allowed_only, chain, embedder
from .gateway import client
from .gateway.errors import GatewayError
from .gateway.pricing import cost_usd
from .gateway.types import Deadlines, OnDelta, Reply, Request, Target, Usage
from .models import ModelPrice, Run

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong, for a person: what it is, and what to do."""

    code: str
    message: str
    action: str


class NoModelAllowed(GatewayError):
    """The workspace allows none of the models that this installation has."""

    code = "no_model_allowed"
    show = True


INTERNAL = Fault("internal", "Something broke on our side.", "Try again in a moment.")


async def complete(
    request: Request,
    *,
    feature: str,
    user: User | None = None,
    prompt_version: PromptVersion | None = None,
    on_delta: OnDelta | None = None,
    stop: asyncio.Event | None = None,
    deadlines: Deadlines | None = None,
) -> Run:
    """Answer `request` with the first model of the chain that can, of those that the workspace allows.

    Returns the closed run: OK, FAILED or REFUSED with `run.error`, or STOPPED when `stop` was set; `run.text` holds
    what was said in each case. If this coroutine is cancelled the run is closed as stopped, and the cancellation
    goes on.
    """
    targets, run = await in_thread(begin, chain(), feature=feature, user=user, prompt_version=prompt_version)
    began = time.monotonic()
    said: list[str] = []
    first_delta_ms: list[int] = []

    async def hear(text: str) -> None:
        if not said:
            first_delta_ms.append(elapsed_ms(began))
        said.append(text)
        if on_delta:
            await on_delta(text)

    closing: dict[str, Any] = {"status": Run.Status.FAILED, "error_code": INTERNAL.code}
    try:
        if not targets:
            raise NoModelAllowed(Target(run.provider, run.model))
        calling = client.complete(request, targets, on_delta=hear, deadlines=deadlines or Deadlines())
        reply = await unless_stopped(calling, stop)
        if reply is None:
            closing = stopped(request, said)
        else:
            closing = answered(reply)
            said = [reply.text]
    except GatewayError as error:
        log.warning("run %s: %s", run.id, error)
        run.error = error
        closing = failed(error, request, said)
        if isinstance(error, NoModelAllowed):
            closing["status"] = Run.Status.REFUSED
    except asyncio.CancelledError:
        closing = stopped(request, said)
        raise
    except Exception:  # ours, or the listener's
        closing = {**closing, **tokens(heard_so_far(request, said))}
        raise
    finally:
        run.text = "".join(said)
        closing.setdefault("ttft_ms", first_delta_ms[0] if first_delta_ms else None)
        closing.setdefault("latency_ms", elapsed_ms(began))
        await asyncio.shield(in_thread(surely, close, run, closing))
    return run


def embed(texts: Sequence[str], *, feature: str, user: User | None = None) -> np.ndarray:
    """Unit vectors of `texts`, float32 [len(texts), 384]. One run for the whole batch."""
    model = embedder()
    run = Run.objects.create(
        kind=Run.Kind.EMBEDDING, feature=feature, user=user, provider="local", model=model.model, tier="embedding"
    )
    began = time.monotonic()
    closing: dict[str, Any] = {"status": Run.Status.FAILED, "error_code": INTERNAL.code}
    try:
        embeddings = model.embed(texts)
        closing = {"status": Run.Status.OK, "error_code": "", **tokens(embeddings.usage)}
    finally:
        close(run, {**closing, "latency_ms": elapsed_ms(began)})
    return embeddings.vectors


def begin(everything: Chain, **fields: Any) -> tuple[Chain, Run]:
    """The targets that the workspace allows now, and a run that is written before the first of them is asked."""
    targets = allowed_only(everything, Tenant.objects.get(pk=require_tenant_id()).allowed_models)
    first, model = (targets or everything)[0]
    return targets, Run.objects.create(kind=Run.Kind.COMPLETION, provider=first.name, model=model, **fields)


async def unless_stopped(calling: Coroutine[Any, Any, Reply], stop: asyncio.Event | None) -> Reply | None:
    """The reply, or None if `stop` is set first; the provider's stream is closed before this returns."""
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


def answered(reply: Reply) -> dict[str, Any]:
    return {
        "status": Run.Status.OK,
        "error_code": "",
        "provider_answered": reply.target.provider,
        "model_answered": reply.model_answered,
        "target": reply.target,
        "request_id": reply.request_id,
        "ttft_ms": reply.ttft_ms,
        "latency_ms": reply.latency_ms,
        "attempts": attempts(reply.attempts),
        **tokens(reply.usage),
    }


def stopped(request: Request, said: list[str]) -> dict[str, Any]:
    usage = Usage.estimate(request, "".join(said), pieces=len(said))
    return {"status": Run.Status.STOPPED, "error_code": "", **tokens(usage)}


def failed(error: GatewayError, request: Request, said: list[str]) -> dict[str, Any]:
    usage = error.usage or heard_so_far(request, said)
    return {
        "status": Run.Status.FAILED,
        "error_code": error.code,
        "target": error.target,
        "request_id": error.request_id,
        "attempts": attempts(error.attempts),
        **tokens(usage),
    }


def heard_so_far(request: Request, said: list[str]) -> Usage:
    """What a broken call used: nothing until it has answered, then an estimate."""
    return Usage.estimate(request, "".join(said), pieces=len(said)) if said else Usage(0, 0)


def attempts(tried: Sequence[Any]) -> list[dict[str, Any]]:
    return [
        {"provider": a.target.provider, "model": a.target.model, "status": a.status, "latency_ms": a.latency_ms}
        for a in tried
    ]


def tokens(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "cached_tokens": usage.cached_tokens,
        "cache_write_tokens": usage.cache_write_tokens + usage.cache_write_1h_tokens,
        "output_tokens": usage.output_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "is_estimated": usage.estimated,
        "usage": usage,
    }


def close(run: Run, closing: dict[str, Any]) -> None:
    """Write the run's end, and its cost by the price of the model that was reached last.

    A model without a price leaves the cost unknown, not zero.
    """
    usage: Usage = closing.get("usage") or Usage(0, 0)
    target: Target = closing.get("target") or Target(run.provider, run.model)
    fields = {name: value for name, value in closing.items() if name not in ("usage", "target")}
    for name, value in fields.items():
        setattr(run, name, value)
    run.finished_at = timezone.now()
    price = ModelPrice.objects.of(target.provider, target.model, input_tokens=usage.input_tokens)
    run.cost_usd = cost_usd(usage, price.price()) if price else None
    run.save(update_fields=[*fields, "finished_at", "cost_usd"])


def elapsed_ms(since: float) -> int:
    return round((time.monotonic() - since) * 1000)


FAULTS = {
    "rate_limited": ("The model's provider is limiting our requests.", "Wait a minute and ask again."),
    "out_of_money": ("The provider account has run out of credit.", "Ask your administrator to top it up."),
    "key_refused": ("The provider refused our key.", "Ask your administrator to check the provider's key."),
    "too_long": ("The question and its passages are too long for the model.", "Ask a shorter question."),
    "content_filtered": ("The provider declined to answer this.", "Rephrase the question."),
    "model_not_found": ("The configured model does not exist.", "Ask your administrator to choose another model."),
    "bad_request": ("The model refused the request as we sent it.", "Ask differently, or tell your administrator."),
    "deadline_exceeded": ("The model took too long.", "Ask again; a shorter question is answered sooner."),
    "truncated": ("The answer ended before it was complete.", "Ask again."),
    "no_model_allowed": (
        "This workspace allows none of the models that are configured now.",
        "An owner or admin can allow others under Settings, Models.",
    ),
    "interrupted": ("The connection to the model broke while it was answering.", "Ask again."),
}


def explain(error: GatewayError | None) -> Fault:
    """What a reader is told. Providers' own words stay in the log: they may hold what isn't the reader's."""
    if error is None:
        return INTERNAL
    unavailable = ("The model is not available right now.", "Try again in a minute.")
    message, action = FAULTS.get(error.code, unavailable)
    return Fault(error.code, message, action)
