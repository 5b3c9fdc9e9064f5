"""A cheap model answers first and judges its own answer; what it isn't sure of is answered by a dearer one.

Nothing is heard before it is decided whose answer it is. Each call is a run of its own: the judgement's parent is the
cheap answer's, and so is that of the dearer answer.
"""

import logging
from dataclasses import replace
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, Field

from apps.prompts.models import PromptVersion
from apps.tenants.models import Tier
from apps.tenants.threads import in_thread

from .configuration import Configuration
from .gateway.errors import GatewayError
from .gateway.types import Message, OnDelta, OnRestart, Request
from .models import CachedAnswer, Run
from .route import Ask, is_open, planned
from .structured import Malformed, parse, strict

log = logging.getLogger(__name__)

JUDGE_OUTPUT_TOKENS = 256  # a model that thinks first needs some for that


class Judgement(BaseModel):
    score: float = Field(ge=0, le=1)


async def cascade(
    one_call: Ask,
    request: Request,
    *,
    configuration: Configuration,
    feature: str,
    on_delta: OnDelta | None = None,
    on_restart: OnRestart | None = None,
    cache: Any = None,
    **call: Any,
) -> Run:
    """The run of the answer that is given: the cheap one, or the one that it was handed on to.

    Where there is nothing to hand on to, or the answer must follow a schema (which is checked, not judged), this is
    one call. A dearer answer that fails or is refused leaves the cheap one, which is better than none.
    """
    call |= {"feature": feature}
    if request.schema is not None or not is_open(feature, configuration):
        return await one_call(request, on_delta=on_delta, on_restart=on_restart, cache=cache, **call)

    cheap = await one_call(request, tier=Tier.CHEAP, cache=cache, **call)
    if cheap.is_cached or not may_be_handed_on(cheap):
        return await give(cheap, on_delta)
    if cheap.status == Run.Status.OK and await is_sure(one_call, request, cheap, configuration, call):
        return await give(cheap, on_delta)

    dearer = dearer_than(request, feature=feature, configuration=configuration)
    hearing = {"on_delta": on_delta, "on_restart": on_restart}
    final = await one_call(request, tier=dearer, cache=cache, **hearing, **call | {"parent": cheap})
    if final.status in (Run.Status.OK, Run.Status.STOPPED) or cheap.status != Run.Status.OK:
        return final
    if final.text and on_delta:  # somebody has heard the beginning of another answer
        if on_restart is None:
            return final
        await on_restart()
    return await give(cheap, on_delta)


def dearer_than(request: Request, *, feature: str, configuration: Configuration) -> Tier:
    """Where a cheap answer is handed on to: the standard tier, or the strong one if the request looks like that."""
    looks_like = planned(request, feature=feature, configuration=configuration).tier
    return configuration.at_most(max(looks_like, Tier.STANDARD, key=list(Tier).index))


def may_be_handed_on(cheap: Run) -> bool:
    """Not what was stopped or refused, nor what every provider would call a mistake of ours."""
    if cheap.status == Run.Status.FAILED:
        return not (isinstance(cheap.error, GatewayError) and cheap.error_code == "bad_request")
    return cheap.status == Run.Status.OK


async def give(run: Run, on_delta: OnDelta | None) -> Run:
    if on_delta and run.text:
        await on_delta(run.text)
    return run


async def is_sure(one_call: Ask, request: Request, cheap: Run, configuration: Configuration, call: Any) -> bool:
    """Whether the model that answered rates its answer at the workspace's threshold or above.

    A judgement that was refused or stopped keeps the answer: whatever comes next would be, too. One that failed or says
    nothing of use hands it on. An answer that is handed on isn't kept in the cache.
    """
    version = await in_thread(PromptVersion.objects.chosen, "judge", subject=cheap.subject)
    about = {"parent": cheap, "purpose": Run.Purpose.JUDGE, "prompt_version": version}
    judge = await one_call(judging(request, cheap, version), tier=Tier.CHEAP, **call | about)
    if judge.status in (Run.Status.REFUSED, Run.Status.STOPPED):
        return True
    score = score_of(judge)
    threshold = configuration.policy.cascade_threshold
    sure = score is not None and score >= threshold
    await in_thread(note, cheap, judge, verdict(score, threshold), sure)
    return sure


def judging(request: Request, cheap: Run, version: PromptVersion) -> Request:
    """The same conversation with the answer in it, so that a provider's prompt cache knows its beginning."""
    turns = (Message("assistant", cheap.text or "(nothing)"), Message("user", version.render()))
    return replace(
        request,
        messages=(*request.messages, *turns),
        max_output_tokens=version.max_output_tokens or JUDGE_OUTPUT_TOKENS,
        schema=strict(Judgement),
        schema_name="judgement",
    )


def score_of(judge: Run) -> Decimal | None:
    if judge.status != Run.Status.OK:
        return None
    try:
        return Decimal(f"{parse(judge.text, Judgement).score:.2f}")
    except Malformed as malformed:
        log.info("run %s: the judgement is of no use: %s", judge.pk, "; ".join(malformed.errors))
        return None


def verdict(score: Decimal | None, threshold: Decimal) -> str:
    rated = "gave no rating" if score is None else f"rated its answer {score}"
    return f"{rated}; sure enough from {threshold:.2f}"


def note(cheap: Run, judge: Run, reason: str, sure: bool) -> None:
    """Say in the judgement's run what came of it."""
    judge.route_reason = reason
    Run.objects.filter(pk=judge.pk).update(route_reason=reason)
    if not sure:
        CachedAnswer.objects.filter(run=cheap).delete()
