"""Which model a request would take, and why, without asking any and without leaving a run.

It goes the way of a call (`route.planned`, `admit.bound_usd`), and adds why the other models are passed by.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from django.conf import settings
from redis import Redis, RedisError

from apps.tenants.models import Tier

from . import chain, route
from .admit import bound_usd
from .cascade import dearer_than
from .chain import Choice
from .configuration import Configuration
from .gateway import circuits
from .gateway.circuits import Circuit
from .gateway.pricing import UnknownPrice
from .gateway.routing import context_needed
from .gateway.types import Price, Request, Target
from .models import Policy
from .refusals import dollars
from .route import Route

REDIS_WITHIN_S = 0.5


@dataclass(frozen=True, slots=True)
class Step:
    """One model of a tier. `place` is its turn, None if it is passed by, and then `passed_by` says why."""

    target: Target
    context_tokens: int | None
    is_own_account: bool
    price: Price | None
    bound_usd: Decimal | None
    circuit: Circuit | None
    place: int | None = None
    passed_by: str = ""

    @property
    def bound(self) -> str:
        return dollars(self.bound_usd) if self.bound_usd is not None else "–"

    @property
    def price_of_a_million(self) -> str:
        """Of input and output tokens."""
        if self.price is None:
            return "no price"
        return " / ".join(dollars(usd) if usd is not None else "–" for usd in (self.price.input, self.price.output))


@dataclass(frozen=True, slots=True)
class Course:
    """A tier with its models in their order. `is_taken`: the request goes here; `is_after`: it is handed on to here."""

    tier: Tier
    steps: tuple[Step, ...]
    is_taken: bool
    is_after: bool
    is_allowed: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """What would become of a request.

    bound_usd: what a call could cost at most, which is what budgets must have room for. asks_first: a classifier
    would be asked for the tier, and this is what holds if it doesn't answer. hands_on: of a cascade, the tier that
    answers what the first isn't sure of. refusal: why nothing could be asked at all.
    """

    route: Route
    courses: tuple[Course, ...]
    tokens: int
    bound_usd: Decimal | None
    asks_first: bool
    hands_on: Tier | None
    refusal: str

    @property
    def bound(self) -> str:
        return dollars(self.bound_usd) if self.bound_usd is not None else "–"


def picture(request: Request, *, feature: str, known: Configuration, forced: Tier | None = None) -> Picture:
    hands_on = None
    if forced is None and known.policy.routing == Policy.Routing.CASCADE and route.is_open(feature, known):
        hands_on = dearer_than(request, feature=feature, configuration=known)
    taken = route.planned(request, feature=feature, configuration=known, forced=Tier.CHEAP if hands_on else forced)
    if hands_on:
        taken = Route(taken.tier, f"cascade: a cheap model answers, and hands on to {hands_on} what it isn’t sure of")
    states = read_circuits(known)
    courses = tuple(
        Course(
            tier,
            steps(request, tier, known, states),
            is_taken=tier == taken.tier,
            is_after=tier == hands_on,
            is_allowed=known.at_most(tier) == tier,
        )
        for tier in Tier
    )
    in_turn = [step for course in courses if course.is_taken for step in course.steps if step.place]
    return Picture(
        route=taken,
        courses=courses,
        tokens=context_needed(request),
        bound_usd=max((step.bound_usd for step in in_turn if step.bound_usd is not None), default=None),
        asks_first=forced is None and route.classifies(feature, known),
        hands_on=hands_on,
        refusal="" if in_turn else refusal(courses, taken.tier),
    )


def steps(request: Request, tier: Tier, known: Configuration, states: Mapping[str, Circuit]) -> tuple[Step, ...]:
    """The tier's models as they stand in its list, each with its turn or with why it has none."""
    in_turn: list[Step] = []
    for choice in every_choice(known, tier):
        circuit = states.get(choice.circuit)
        bound = bound_of(request, choice, known)
        why = passed_by(request, choice, known, bound)
        place = None if why else 1 + sum(1 for step in in_turn if step.place)
        prices = chain.prices(choice, known)
        in_turn.append(
            Step(
                target=choice.target,
                context_tokens=choice.context_tokens,
                is_own_account=choice.account is not None,
                price=prices[0] if prices else None,
                bound_usd=bound,
                circuit=circuit,
                place=place,
                passed_by=why,
            )
        )
    return tuple(in_turn)


def every_choice(known: Configuration, tier: Tier) -> tuple[Choice, ...]:
    """Those that the workspace doesn't allow too: they are passed by, and the page says so."""
    return chain.choices(replace(known, allowed_models=frozenset()), tier)


def passed_by(request: Request, choice: Choice, known: Configuration, bound: Decimal | None) -> str:
    """Why a call goes past this model; "" if it doesn't."""
    if known.allowed_models and choice.target.model not in known.allowed_models:
        return "This workspace doesn’t allow it."
    if choice.account is None and not route.is_offered(choice.target, known):
        return "It isn’t part of the workspace’s plan."
    if choice.context_tokens is not None and context_needed(request) > choice.context_tokens:
        return "The request and its answer may be longer than it has room for."
    if bound is None:
        return "It has no price."
    return ""


def bound_of(request: Request, choice: Choice, known: Configuration) -> Decimal | None:
    try:
        return bound_usd(request, chain.prices(choice, known))
    except UnknownPrice:
        return None


def refusal(courses: tuple[Course, ...], tier: Tier) -> str:
    if not any(course.steps for course in courses):
        return "There is no model at all. Add one below a tier, or ask whoever runs this service."
    return f"No {tier} model can take this request, so it would be refused. Each says why."


def read_circuits(known: Configuration) -> dict[str, Circuit]:
    """The state of every model's breaker by its name; nothing while Redis doesn't answer."""
    names = {choice.circuit for tier in Tier for choice in every_choice(known, tier)}
    try:
        with Redis.from_url(settings.REDIS_URL, socket_timeout=REDIS_WITHIN_S) as redis:
            return {circuit.name: circuit for circuit in circuits.read(redis, sorted(names))}
    except RedisError:
        return {}
