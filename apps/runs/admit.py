"""Letting a call in: which models it is for, what it can take at most, and the ledger's word on that.

All of it is one visit to the database, and by what holds at that moment: a configuration that is out of date is read
anew and the call planned again.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from apps.tenants.models import Tier

from . import alerts, answers, chain, configuration, ledger, route
from .answers import CacheQuery
from .chain import Choice
from .configuration import Configuration
from .gateway.pricing import UnknownPrice, most_usd
from .gateway.types import Attempt, Price, Request
from .models import CachedAnswer, Processing, Run
from .refusals import KeyClosed, NoHalfPrice, NoModelAllowed, Refusal, SwitchedOff, Unpriced
from .route import Route

STALE_AT_MOST = 5  # times in a row; somebody would have to change settings within every millisecond
CHANGING = "How models are called has changed again and again while a call was planned."


@dataclass(slots=True)
class Call:
    """One call under way, and what is known of it so far."""

    asked: Request
    run: Run
    tier: Tier | None = None
    model: str = ""  # this one alone; the tier's others aren't asked
    processing: Processing = Processing.ONLINE
    cache: CacheQuery | None = None
    request: Request = field(init=False)  # what the guard left of it
    flags: tuple[str, ...] = ()
    choices: tuple[Choice, ...] = ()
    cheap_choices: tuple[Choice, ...] = ()  # what a soft budget may make of them
    known: Configuration = field(init=False)  # since it was admitted
    cached: CachedAnswer | None = None
    scope: str = ""
    said: list[str] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)  # those that have ended
    began: float = field(default_factory=time.monotonic)
    ttft_ms: int | None = None

    def __post_init__(self) -> None:
        self.request = self.asked


def admit(call: Call, chosen: Route, refusal: Refusal | None, known: Configuration) -> None:
    """Write the call's run: running with its reservation, or refused. Raises Stale, having written nothing, if what it
    was planned by no longer holds."""
    cheap: dict[str, Any] | None = None
    try:
        if refusal is None:
            cheap = plan(call, chosen, known)
    except Refusal as error:
        refusal = error
    if refusal is not None and not call.run.provider:
        nominal(call.run, chosen, known)
    call.known = known
    admission = ledger.begin(call.run, revision=known.revision, cheap=cheap, refusal=refusal)
    if admission.is_cheap:
        call.choices = call.cheap_choices
        if call.scope and call.cache:
            call.scope = answers.scope_of(call.cache, run=call.run, configuration=known, choices=call.choices)
    if chosen.classified:
        call.run.made_before += (chosen.classified.pk,)
    if call.run.made_before:
        Run.objects.filter(pk__in=call.run.made_before).update(parent=call.run)
    alerts.send(admission.alerts)


def plan(call: Call, chosen: Route, known: Configuration) -> dict[str, Any] | None:
    """Fill in the run: which models, and what they can take at most. Returns what a soft budget may make of it instead.

    Raises the Refusal of a call that no model may take.
    """
    run = call.run
    call.cached, call.scope = None, ""
    refuse_what_is_off(call, known)
    tier = known.at_most(chosen.tier)
    call.choices = affordable(call, tier, known)
    run.flags = list(call.flags)
    fill(run, planned(call, tier, chosen.reason, call.choices))
    if call.cache and run.purpose == Run.Purpose.ANSWER and known.policy.cache_is_on:
        call.scope = answers.scope_of(call.cache, run=run, configuration=known, choices=call.choices)
        call.cached = answers.find(call.cache, scope=call.scope, configuration=known)
    if call.cached:
        run.reserved_usd, run.reserved_tokens = Decimal(0), 0
        return None
    if tier == Tier.CHEAP:
        return None
    try:
        call.cheap_choices = affordable(call, Tier.CHEAP, known)
    except Refusal:
        return None
    return planned(call, Tier.CHEAP, "a budget is nearly spent", call.cheap_choices)


def planned(call: Call, tier: Tier, reason: str, choices: Sequence[Choice]) -> dict[str, Any]:
    """What the run's row says of a call of these models: who is asked first, and what the dearest could cost."""
    first = choices[0]
    return {
        "tier": tier,
        "route_reason": reason[:200],
        "provider": first.target.provider,
        "model": first.target.model,
        **paid_by(first),
        "reserved_usd": max(choice.bound_usd for choice in choices),
        "reserved_tokens": call.request.most_input_tokens() + call.request.max_output_tokens,
    }


def paid_by(choice: Choice) -> dict[str, Any]:
    if choice.account:
        return {"payer": Run.Payer.TENANT, "provider_key_id": choice.account.pk}
    return {"payer": Run.Payer.PLATFORM, "provider_key_id": None}


def fill(run: Run, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(run, name, value)


def bound_usd(request: Request, prices: Sequence[Price]) -> Decimal:
    """What a call of a model with these prices can cost at most. Raises UnknownPrice."""
    return most_usd(
        prices,
        input_tokens=request.most_input_tokens(),
        output_tokens=request.max_output_tokens,
    )


def affordable(call: Call, tier: Tier, known: Configuration) -> tuple[Choice, ...]:
    """The models that may be asked: of the tier or of the next one that has any, allowed, with room for the request as
    far as that is known, and priced. In a file one alone is asked: the first that has a price for that.

    Raises NoModelAllowed, TooLarge, Unpriced or NoHalfPrice.
    """
    allowed = route.reach(call.request, tier, known)
    allowed = tuple(choice for choice in allowed if not call.model or choice.target.model == call.model)
    if not allowed:
        raise NoModelAllowed
    priced = []
    for choice in allowed:
        prices = chain.prices(choice, known, call.processing)
        try:
            bound = bound_usd(call.request, prices)
        except UnknownPrice:
            continue
        priced.append(replace(choice, prices=prices, bound_usd=bound))
    if call.processing == Processing.BATCH:
        if not priced:
            raise NoHalfPrice
        return tuple(priced[:1])
    if not priced:
        raise Unpriced([str(choice.target) for choice in allowed])
    return tuple(priced)


def admit_free(run: Run) -> None:
    """Write the run of a call that costs nothing, such as an embedding made in the house, or refuse it."""
    known = configuration.current()
    for _ in range(STALE_AT_MOST):
        refusal = SwitchedOff() if is_off(run, known) else None
        try:
            ledger.begin(run, revision=known.revision, refusal=refusal)
            return
        except ledger.Stale:
            known = configuration.fresh()
    raise RuntimeError(CHANGING)


def is_off(run: Run, known: Configuration) -> bool:
    return not known.off.isdisjoint({"ai", run.feature})


def refuse_what_is_off(call: Call, known: Configuration) -> None:
    if is_off(call.run, known):
        raise SwitchedOff
    key = call.run.api_key
    if key is not None and not ((now := known.api_keys.get(key.digest)) and now.is_open and now.tenant.is_active):
        raise KeyClosed


def nominal(run: Run, chosen: Route, known: Configuration) -> None:
    """Who would have been asked, for the row of a call that is refused before that is settled."""
    first = next(iter(chain.choices(known, chosen.tier)), None)
    target = first.target if first else chain.configured()[0]
    run.provider, run.model, run.tier, run.route_reason = (
        target.provider,
        target.model,
        chosen.tier,
        chosen.reason[:200],
    )
