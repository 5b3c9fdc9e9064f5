"""The API of a workspace, in the words of OpenAI's, so that its clients work here: docs/gateway-api.md.

    POST chat/completions   one answer, whole or streamed as server-sent events
    GET  models             what `model` may be
    POST runs/<id>/feedback what the program's user thought of an answer: `apps.chat.feedback_api`

Who hangs up has left: their call is stopped, and settled at what it had used by then.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial, wraps
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from apps.tenants import api_access
from apps.tenants.api_access import error, for_keys
from apps.tenants.threads import in_thread

from . import configuration, execute
from .api_request import Completion, Unfit, destination, names, read
from .execute import explain
from .gateway.errors import GatewayError
from .models import Run
from .refusals import BudgetSpent, KeyClosed, Refusal, TooManyTokens

log = logging.getLogger(__name__)

FEATURE = "api"
ANSWERED = {"stop": "stop", "length": "length", "filter": "content_filter"}
# How an error of the models is said in HTTP; of the others, that what is behind us failed.
STATUSES = {
    "rate_limited": 429,
    "too_long": 400,
    "content_filtered": 400,
    "bad_request": 400,
    "deadline_exceeded": 504,
    "unavailable": 503,
    "circuit_open": 503,
}
WORTH_WAITING_S = 60  # longer than OpenAI's clients wait by themselves

View = Callable[..., Coroutine[Any, Any, HttpResponseBase]]
Call = Callable[..., Coroutine[Any, Any, Run]]


def api_view(method: str, *, admitted_by_run: bool = False) -> Callable[[View], View]:
    """A view of the API: one method, errors as JSON."""

    def decorate(view: View) -> View:
        @for_keys(admitted_by_run=admitted_by_run)
        @wraps(view)
        async def answering(request: HttpRequest, **named: Any) -> HttpResponseBase:
            if request.method != method:
                response: HttpResponseBase = error(405, f"Send a {method} request here.", code="method_not_allowed")
                response["Allow"] = method
                return response
            try:
                return await view(request, **named)
            except Unfit as unfit:
                return error(unfit.status, unfit.message, code=unfit.code, param=unfit.param)
            except api_access.AWAY:
                log.exception("the database does not answer")
                return api_access.away()
            except Exception:
                log.exception("a call of the API broke")
                return JsonResponse(fault(None), status=500)

        return answering

    return decorate


@for_keys()
async def not_found(request: HttpRequest) -> HttpResponse:
    return error(
        404,
        "The API has no such address. Under v1/ it has chat/completions, models and runs/<id>/feedback.",
        code="not_found",
    )


@api_view("GET")
async def models(request: HttpRequest) -> HttpResponse:
    listed = names(await in_thread(configuration.fresh))
    data = [{"id": name, "object": "model", "created": 0, "owned_by": owner} for name, owner in listed.items()]
    return JsonResponse({"object": "list", "data": data})


@api_view("POST", admitted_by_run=True)
async def chat_completions(request: HttpRequest) -> HttpResponseBase:
    try:
        asked = read(request.body)
    except RequestDataTooBig:
        raise Unfit("The body is too long. Send less at once.", status=413, code="too_large") from None
    tier, model = destination(asked.model, await execute.known_configuration())
    call = partial(
        execute.complete,
        asked.request(),
        feature=FEATURE,
        api_key=request.api_key,  # type: ignore[attr-defined]
        tier=tier,
        model=model,
    )
    return await (streamed(call, asked) if asked.stream else whole(call))


async def whole(call: Call) -> HttpResponse:
    run = await call()
    if run.status != Run.Status.OK:
        return broken(run)
    message = {"role": "assistant", "content": run.text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason(run)}
    reply = {**head(run, "chat.completion"), "choices": [choice], "usage": usage(run)}
    return about(JsonResponse(reply), run)


async def streamed(call: Call, asked: Completion) -> HttpResponseBase:
    """Server-sent events. What goes wrong before the first word is a status of HTTP; after it, an event.

    The call is a task of its own, so that it is made in the workspace's context and its words are told outside of it.
    """
    said: asyncio.Queue[str | None] = asyncio.Queue()
    begun: list[Run] = []
    task = asyncio.create_task(call(on_delta=said.put, on_run=begun.append))
    task.add_done_callback(lambda _: said.put_nowait(None))
    try:
        first = await said.get()
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait([task])  # it is settled
        raise
    if first is None and (run := task.result()).status != Run.Status.OK:
        return broken(run)
    run = next(run for run in reversed(begun) if run.purpose == Run.Purpose.ANSWER)
    response = Stream(events(run, first, said, task, asked.include_usage), task)
    return about(response, run)


async def events(
    run: Run, first: str | None, said: "asyncio.Queue[str | None]", task: "asyncio.Task[Run]", include_usage: bool
) -> AsyncIterator[str]:
    top = head(run, "chat.completion.chunk")

    def chunk(delta: dict[str, str], reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return event({**top, "choices": [choice], **({"usage": None} if include_usage else {})})

    yield chunk({"role": "assistant", "content": ""})
    piece = first
    while piece is not None:
        yield chunk({"content": piece})
        piece = await said.get()
    try:
        run = task.result()
    except Exception:
        log.exception("a call of the API broke while it was answered")
        yield event(fault(None))
        return
    if run.status != Run.Status.OK:
        yield event(fault(run.error))
        return
    yield chunk({}, finish_reason(run))
    if include_usage:
        yield event({**top, "choices": [], "usage": usage(run)})
    yield "data: [DONE]\n\n"


class Stream(StreamingHttpResponse):
    """Events of a call. Django closes it when all is said, and when whoever listens is gone: then the call ends too."""

    def __init__(self, said: AsyncIterator[str], task: "asyncio.Task[Run]") -> None:
        super().__init__(said, content_type="text/event-stream; charset=utf-8")
        self["X-Accel-Buffering"] = "no"
        self._task, self._loop = task, asyncio.get_running_loop()

    def close(self) -> None:
        super().close()
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._task.cancel)


def event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, separators=(',', ':'))}\n\n"


def head(run: Run, kind: str) -> dict[str, Any]:
    model = run.model_answered or run.model
    return {"id": f"chatcmpl-{run.pk.hex}", "object": kind, "created": int(time.time()), "model": model}


def finish_reason(run: Run) -> str:
    return ANSWERED.get(run.finish_reason, "stop")


def usage(run: Run) -> dict[str, Any]:
    """Its tokens as OpenAI counts them, and what they cost."""
    return {
        "prompt_tokens": run.input_tokens,
        "completion_tokens": run.output_tokens,
        "total_tokens": run.input_tokens + run.output_tokens,
        "prompt_tokens_details": {"cached_tokens": run.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": run.reasoning_tokens},
        "cost_usd": None if run.cost_usd is None else f"{run.cost_usd:f}",
    }


def about(response: HttpResponseBase, run: Run) -> Any:
    response["x-request-id"] = str(run.pk)
    if run.cost_usd is not None:
        response["x-corbel-cost-usd"] = f"{run.cost_usd:f}"
    response["Cache-Control"] = "no-store"
    return response


def broken(run: Run) -> HttpResponse:
    """The answer to a call that gave none."""
    if isinstance(run.error, KeyClosed):  # no other answer than at the door
        return api_access.refused()
    said = fault(run.error)
    response = JsonResponse(said, status=status_of(run.error))
    wait_s = run.error.retry_after_s if isinstance(run.error, Refusal) else None
    if wait_s is not None:
        response["Retry-After"] = str(wait_s)
    if not is_worth_trying_again(run.error, wait_s):
        response["x-should-retry"] = "false"  # else OpenAI's clients do
    return about(response, run)


def status_of(failure: Exception | None) -> int:
    if isinstance(failure, Refusal):
        return failure.http_status
    if isinstance(failure, GatewayError):
        return STATUSES.get(failure.code, 502)
    return 500


def is_worth_trying_again(failure: Exception | None, wait_s: int | None) -> bool:
    if isinstance(failure, Refusal):
        return wait_s is not None and wait_s <= WORTH_WAITING_S
    return status_of(failure) in (429, 503)


def fault(failure: Exception | None) -> dict[str, Any]:
    """What went wrong, in OpenAI's shape, and from when on it is worth trying again."""
    found = explain(failure)
    kind = (
        "insufficient_quota"
        if isinstance(failure, BudgetSpent | TooManyTokens)
        else api_access.kind_of(status_of(failure))
    )
    said = {"message": f"{found.message} {found.action}", "type": kind, "code": found.code, "param": None}
    if found.resets_at:
        said["resets_at"] = found.resets_at.isoformat()
    return {"error": said}
