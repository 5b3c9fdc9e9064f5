"""How a call ended, what all its attempts used and cost together, and the run that says so.

    answered(call, reply)    a model has answered          take(run, found)         an answer of before is given again
    failed(call, error)      none has                      stopped(call)            nobody waits for one any more
    settle(call)             write that, give back the reservation and keep the answer for the next who asks

`has_room` looks ahead: whether one more attempt fits into what is reserved.
"""

import logging
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.db import DatabaseError, DataError, IntegrityError

from apps.tenants.context import require_tenant_id

from . import alerts, answers, guarding, ledger
from .admit import Call, fill, paid_by
from .gateway.errors import GatewayError
from .gateway.pricing import cost_usd, price_for
from .gateway.types import TOKEN_COUNTS, Attempt, Reply, Usage
from .models import CachedAnswer, Run

log = logging.getLogger(__name__)

NAME_CHARS = 120  # as the columns have room for
RELAXED = 0.90  # how similar a question must be whose answer is given when no model answers


def answered(call: Call, reply: Reply) -> None:
    run = call.run
    run.status, run.error_code = Run.Status.OK, ""
    run.text, run.finish_reason = printable(reply.text), reply.finish_reason
    run.provider_answered, run.model_answered = reply.target.provider, name_of(reply.model_answered)
    run.request_id = name_of(reply.request_id)
    run.flags = [*run.flags, *guarding.after(reply.text, call.request)]


def failed(call: Call, error: GatewayError) -> None:
    run = call.run
    run.status, run.error, run.error_code = Run.Status.FAILED, error, error.code
    run.request_id = name_of(error.request_id)


def stopped(call: Call) -> None:
    call.run.status, call.run.error_code = Run.Status.STOPPED, ""


def take(run: Run, found: CachedAnswer) -> None:
    """Make the run one of a cached answer, which costs nothing and saves what it cost then."""
    run.status, run.error_code = Run.Status.OK, ""
    run.text, run.context, run.cached_answer = found.answer, found.context, found
    run.is_cached, run.cached_from_id, run.saved_usd = True, found.run_id, found.cost_usd  # type: ignore[attr-defined]


def answer_from_cache(call: Call) -> bool:
    """When no model answers: what a less similar question was answered while the workspace knew the same."""
    assert call.cache is not None
    found = answers.find(call.cache, scope=call.scope, configuration=call.known, threshold=RELAXED)
    if found:
        take(call.run, found)
        call.run.error = None
    return found is not None


def settle(call: Call) -> None:
    """Close the run: what all its attempts used and cost, then the cache."""
    run = call.run
    run.cost_usd, used = spent(call)
    run.input_tokens, run.output_tokens = used.input_tokens, used.output_tokens
    run.cached_tokens, run.reasoning_tokens = used.cached_tokens, used.reasoning_tokens
    run.cache_write_tokens = used.cache_write_tokens + used.cache_write_1h_tokens
    run.is_estimated = used.estimated
    run.attempts = [attempt_json(call, attempt) for attempt in call.attempts]
    if call.attempts:
        fill(run, paid_by(call.choices[call.attempts[-1].endpoint_index]))
    if run.cost_usd > run.reserved_usd:
        log.error("run %s cost $%s, more than the $%s reserved as its bound", run.pk, run.cost_usd, run.reserved_usd)
    try:
        alerts.send(ledger.close(run))
    except (DataError, IntegrityError):  # something in it can't be stored; its reservation must not stay open
        log.exception("run %s could not be closed as it ended", run.pk)
        alerts.send(ledger.close_lost(require_tenant_id(), run.pk)[1])
    if call.scope and call.cache and not run.is_cached and run.status == Run.Status.OK:
        try:
            answers.store(call.cache, scope=call.scope, run=run, configuration=call.known)
        except DatabaseError:
            log.exception("the answer of run %s was not kept", run.pk)


def attempt_json(call: Call, attempt: Attempt) -> dict[str, Any]:
    said = {
        "provider": attempt.target.provider,
        "model": attempt.target.model,
        "status": attempt.status,
        "latency_ms": attempt.latency_ms,
    }
    if call.choices[attempt.endpoint_index].account:
        said["payer"] = Run.Payer.TENANT
    if attempt.is_retry:
        said["is_retry"] = True
    if attempt.usage:
        said |= {"input_tokens": attempt.usage.input_tokens, "output_tokens": attempt.usage.output_tokens}
        said["cost_usd"] = f"{cost_of(call, attempt):f}"
    return said


def has_room(call: Call, index: int) -> bool:
    """Whether the reservation covers one more attempt beside those that have used tokens; it is raised if need be."""
    run = call.run
    spent_usd, used = spent(call)
    needed_usd = spent_usd + call.choices[index].bound_usd
    needed = used.input_tokens + used.output_tokens + call.request.most_input_tokens() + call.request.max_output_tokens
    more_usd, more = max(Decimal(0), needed_usd - run.reserved_usd), max(0, needed - run.reserved_tokens)
    return not (more_usd or more) or ledger.extend(run, usd=more_usd, tokens=more)


def spent(call: Call) -> tuple[Decimal, Usage]:
    """What the attempts that have ended cost and used."""
    usages = [attempt.usage for attempt in call.attempts if attempt.usage]
    return sum((cost_of(call, attempt) for attempt in call.attempts), Decimal(0)), added(usages)


def cost_of(call: Call, attempt: Attempt) -> Decimal:
    """By the price of the model that was asked, for as many tokens as it read."""
    if attempt.usage is None:
        return Decimal(0)
    return cost_usd(attempt.usage, price_for(call.choices[attempt.endpoint_index].prices, attempt.usage))


def added(usages: Sequence[Usage]) -> Usage:
    """The tokens of several attempts, together."""
    counts = {name: sum(getattr(usage, name) for usage in usages) for name in TOKEN_COUNTS}
    return Usage(**counts, estimated=any(usage.estimated for usage in usages))


def printable(text: str) -> str:
    """Without the one character that Postgres keeps nowhere."""
    return text.replace("\0", "")


def name_of(value: object) -> str:
    """A name that came over the wire, as a column holds it."""
    return printable(str(value))[:NAME_CHARS]
