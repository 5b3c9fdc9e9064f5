"""Where a call goes: which tier, why, and which models of it.

    choose(request, ...) -> Route           the tier, by the workspace's policy; a classifier may be asked for it
    reach(request, tier, known)             the tier's models that have room for the request
    planned(request, ...) -> Route          what `choose` says without asking anybody: for the page that tries a route

The page and the calls take the same path here, so that what the page says is what happens.
"""

import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from apps.prompts.models import PromptVersion
from apps.tenants.models import Tier
from apps.tenants.threads import in_thread

from . import chain
from .chain import Choice
from .configuration import Configuration
from .gateway import routing
from .gateway.routing import named
from .gateway.types import Deadlines, Message, Request, Target
from .models import Policy, Run
from .refusals import TooLarge
from .structured import Malformed, parse, strict

log = logging.getLogger(__name__)

Ask = Callable[..., Awaitable[Run]]
"""Makes a call of its own: `execute.one_call`."""

CLASSIFIER_DEADLINES = Deadlines(first_token_s=3, idle_s=3, total_s=3)
CLASSIFIER_OUTPUT_TOKENS = 256  # a model that thinks first needs some for that
CLASSIFIER_CHARS = 4_000  # of the question
# Why a call takes the tier that it was told to take, by what it is made for.
MADE_FOR = {
    Run.Purpose.CLASSIFY: "says how hard a request is",
    Run.Purpose.JUDGE: "judges a cheap answer",
    Run.Purpose.REPAIR: "repairs a malformed answer",
    Run.Purpose.MODERATE: "moderates",
}


@dataclass(frozen=True, slots=True)
class Route:
    """A tier and why. `classified` is the run of the classifier that said so, if one was asked."""

    tier: Tier
    reason: str
    classified: Run | None = None


class Hardness(BaseModel):
    tier: Literal["cheap", "standard", "strong"]


async def choose(
    request: Request,
    *,
    feature: str,
    configuration: Configuration,
    forced: Tier | None = None,
    ask: Ask | None = None,
    run: Run | None = None,
) -> Route:
    """The route of a call: `forced`, else by the workspace's policy, never above what its plan allows.

    ask: makes the classifier's call; without it, and whenever its answer isn't of use, the request's facts decide.
    run: the call's own, for whom it is made and what for. Raises nothing of its own; `reach` says what can't be sent.
    """
    route = planned(request, feature=feature, configuration=configuration, forced=forced, run=run)
    if ask is None or forced or not classifies(feature, configuration):
        return route
    classified, tier = await classify(request, feature=feature, ask=ask, run=run)
    if tier is None:
        return Route(route.tier, f"{route.reason} (the classifier gave no answer)", classified)
    said = routing.capped(named(tier), f"classified: {tier}", named(configuration.highest_tier))
    return with_room(request, Route(Tier(said.tier), said.reason, classified), configuration)


def planned(
    request: Request,
    *,
    feature: str,
    configuration: Configuration,
    forced: Tier | None = None,
    run: Run | None = None,
) -> Route:
    """The route by the request's facts alone. Asks nobody and takes microseconds."""
    policy = configuration.policy
    insisted = forced or (Tier(policy.forced_tier) if policy.routing == Policy.Routing.FORCED else None)
    facts = routing.facts_of(
        request,
        feature=feature,
        highest=named(configuration.highest_tier),
        forced=named(insisted) if insisted else None,
    )
    decision = routing.decide(facts)
    reason = decision.reason
    if forced and run is not None:
        reason = made_for(run) or reason
    return with_room(request, Route(Tier(decision.tier), reason), configuration)


def made_for(run: Run) -> str:
    if run.purpose == Run.Purpose.ANSWER:
        return "the cheap answer wasn’t sure enough" if run.parent is not None else ""
    return MADE_FOR[Run.Purpose(run.purpose)]


def with_room(request: Request, route: Route, configuration: Configuration) -> Route:
    """The same route, or the one of another tier if its own has no model with room for the request."""
    reached, found = reached_by(request, route.tier, configuration)
    if reached == route.tier or not found:
        return route
    has_any = bool(choices(configuration, route.tier))
    lacks = f"too long for every {route.tier} model" if has_any else f"no {route.tier} model is there"
    return Route(reached, f"{route.reason}; {lacks}, so {reached}", route.classified)


def choices(configuration: Configuration, tier: Tier) -> list[Choice]:
    """The models of a tier, of those that the workspace may have: its own accounts', and what its plan offers."""
    return [
        choice
        for choice in chain.choices(configuration, tier)
        if choice.account is not None or is_offered(choice.target, configuration)
    ]


def is_offered(target: Target, configuration: Configuration) -> bool:
    """Whether the installation lets this workspace ask one of its own models, which it pays for.

    A model that everybody's routes know belongs to their tiers: putting it into a cheaper one doesn't make it cheap.
    """
    routes = configuration.everybody.routes
    homes = {Tier(route.tier) for route in routes if (route.provider, route.model) == (target.provider, target.model)}
    return bool(homes & {*allowed_tiers(configuration)}) if homes else target in chain.configured()


def reached_by(request: Request, tier: Tier, configuration: Configuration) -> tuple[Tier, tuple[Choice, ...]]:
    name, found = routing.reach(
        named(tier),
        routing.context_needed(request),
        highest=named(configuration.highest_tier),
        chain_of=lambda other: choices(configuration, Tier(other)),
    )
    return Tier(name), found


def reach(request: Request, tier: Tier, configuration: Configuration) -> tuple[Choice, ...]:
    """The models of the tier with room for the request, else those of the next tier that has any.

    () if the workspace has no model at all. Raises TooLarge if it has, and none with room.
    """
    _, found = reached_by(request, tier, configuration)
    if not found and any(choices(configuration, other) for other in allowed_tiers(configuration)):
        raise TooLarge(
            f"With its answer this takes about {routing.context_needed(request):,} tokens, "
            "more than any model has room for.",
            "Ask a shorter question, or with fewer passages and less history; or an owner or admin adds a model with a "
            "longer context under Settings, Models.",
            code="too_long",
        )
    return found


def allowed_tiers(configuration: Configuration) -> list[Tier]:
    return [tier for tier in Tier if configuration.at_most(tier) == tier]


def tiers_differ(configuration: Configuration) -> bool:
    """Whether it matters which tier is chosen. If not, asking a model which one is money for nothing."""
    chains = {
        tuple((choice.target, choice.account and choice.account.pk) for choice in choices(configuration, tier))
        for tier in allowed_tiers(configuration)
    }
    return len(chains - {()}) > 1


def is_open(feature: str, configuration: Configuration) -> bool:
    """Whether a request of this feature could take one tier or another."""
    lowest, dearest = routing.BOUNDS.get(feature, (routing.TIERS[0], routing.TIERS[-1]))
    return lowest != dearest and not chain.is_quoting(configuration) and tiers_differ(configuration)


def classifies(feature: str, configuration: Configuration) -> bool:
    return configuration.policy.routing == Policy.Routing.CLASSIFIER and is_open(feature, configuration)


async def classify(request: Request, *, feature: str, ask: Ask, run: Run | None) -> tuple[Run | None, Tier | None]:
    """What a small model says of the request, in a call of its own; no tier if it says nothing of use in time.

    A refusal of that call is none of the request's, which meets the ledger itself.
    """
    version = await in_thread(PromptVersion.objects.chosen, "route", subject=run.subject if run else None)
    asked = await ask(
        classifying(request, version),
        feature=feature,
        user=run.user if run else None,
        api_key=run.api_key if run else None,
        prompt_version=version,
        tier=Tier.CHEAP,
        purpose=Run.Purpose.CLASSIFY,
        deadlines=CLASSIFIER_DEADLINES,
    )
    if asked.status != Run.Status.OK:
        return asked, None
    try:
        return asked, Tier(parse(asked.text, Hardness).tier)
    except Malformed as malformed:
        log.info("run %s: the classifier's answer is of no use: %s", asked.pk, "; ".join(malformed.errors))
        return asked, None


def classifying(request: Request, version: PromptVersion) -> Request:
    """The question alone, as data between markers nobody can guess, and in numbers what comes with it."""
    mark = secrets.token_hex(8)
    begin, end = f"<request {mark}>", f"</request {mark}>"
    question = routing.question_of(request)
    turns = max(0, sum(message.role != "system" for message in request.messages) - 1)
    about = f"{len(request.passages)} passages and {turns} earlier messages come with it."
    return Request(
        messages=(
            Message("system", version.render(begin=begin, end=end)),
            Message("user", f"{begin}\n{question[:CLASSIFIER_CHARS]}\n{end}\n{about}"),
        ),
        max_output_tokens=version.max_output_tokens or CLASSIFIER_OUTPUT_TOKENS,
        question=question[:CLASSIFIER_CHARS],
        schema=strict(Hardness),
        schema_name="hardness",
    )
