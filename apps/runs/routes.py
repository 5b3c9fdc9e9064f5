"""Which models each tier of the active workspace is made of; each change leaves a line in its log.

check(provider, model)    raises Refused for what could never be asked
add, move, remove         of the workspace's own routes; those of a tier replace everybody's
"""

from dataclasses import dataclass
from typing import Any, Literal

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from apps.tenants.audit import record
from apps.tenants.context import require_tenant_id
from apps.tenants.models import Tenant, Tier

from . import chain, configuration
from .configuration import Configuration
from .gateway.types import Target
from .models import ModelPrice, ModelRoute
from .route import allowed_tiers, is_offered

WHERE_TO_PRICE = "An operator enters it in the platform’s admin, under Prices."


class Refused(ValueError):
    """A sentence for the person who asked: what is wrong, and what to do. `field` is the one of a route that it is
    about."""

    def __init__(self, message: str, *, field: Literal["provider", "model"] = "model") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Tierful:
    """A tier as the settings show it. `routes` are the workspace's own, or without any, everybody's."""

    tier: Tier
    routes: list[ModelRoute]
    is_own: bool
    is_allowed: bool


def check(provider: str, model: str, known: Configuration) -> None:
    """Raises Refused if a route to it would lead nowhere: no such provider, not for this workspace, or no price."""
    route = ModelRoute(provider=provider, model=model)
    choice = chain.routed(route, known)
    if choice is None:
        names = sorted({*chain.installed(), *known.provider_keys})
        raise Refused(f"There is no provider “{provider}” here. There is {', '.join(names)}.", field="provider")
    if account := choice.account:
        if model not in account.model_names:
            has = ", ".join(account.model_names) or "none"
            raise Refused(f"Your account {provider} has no model “{model}”. It has {has}; add it there first.")
    elif not is_offered(choice.target, known):
        raise Refused(f"This service doesn’t offer {provider}/{model} to your plan. Choose one that is listed.")
    if not chain.prices(choice, known):
        where = "Enter its prices with the account, under Provider keys." if choice.account else WHERE_TO_PRICE
        raise Refused(f"{provider}/{model} has no price, so what it could cost can’t be bounded. {where}")


def check_for_everybody(provider: str, model: str) -> None:
    """The same for a route of every workspace, which only the installation's own providers can have."""
    if provider not in chain.installed():
        names = ", ".join(sorted(chain.installed()))
        raise Refused(f"The settings have no provider “{provider}”. They have {names}.", field="provider")
    if ModelPrice.objects.of(provider, model) is None:
        raise Refused(f"{provider}/{model} has no price, so calls of it would be refused. Enter it under Prices first.")


def own() -> "QuerySet[ModelRoute]":
    return ModelRoute.unscoped.filter(tenant_id=require_tenant_id()).order_by("position", "id")


def tiers(known: Configuration) -> list[Tierful]:
    """Every tier with its routes, switched-off ones too. Those of everybody that the plan leaves out are left out."""
    mine = list(own())
    everybodys = ModelRoute.unscoped.filter(tenant=None, is_on=True).order_by("position", "id")
    offered = [route for route in everybodys if is_offered(Target(route.provider, route.model), known)]
    found = []
    for tier in Tier:
        owned = [route for route in mine if route.tier == tier]
        routes = owned or [route for route in offered if route.tier == tier]
        found.append(Tierful(tier, routes, is_own=bool(owned), is_allowed=tier in allowed_tiers(known)))
    return found


def targets(known: Configuration) -> list[Target]:
    """Every model that a route of the workspace may lead to: what it is offered, and its own accounts'."""
    routes = [Target(route.provider, route.model) for route in known.everybody.routes]
    offered = [target for target in (*chain.configured(), *routes) if is_offered(target, known)]
    accounts = [Target(key.name, model) for key in known.provider_keys.values() for model in key.model_names]
    return list(dict.fromkeys((*accounts, *offered)))


def add(*, tier: Tier, provider: str, model: str, context_tokens: int | None = None) -> ModelRoute:
    """The last of its tier. Raises Refused for one that leads nowhere or is there already."""
    check(provider, model, configuration.fresh())
    try:
        with transaction.atomic():
            turn()
            last = own().filter(tier=tier).last()
            route = ModelRoute.unscoped.create(
                tenant_id=require_tenant_id(),
                tier=tier,
                provider=provider,
                model=model,
                context_tokens=context_tokens,
                position=last.position + 1 if last else 1,
            )
            record("route.added", route, model=f"{provider}/{model}", tier=tier)
    except IntegrityError:
        raise Refused(f"{provider}/{model} is among the {tier} models already. Move it, or choose another.") from None
    return route


def move(route: ModelRoute, *, by: Literal[-1, 1]) -> None:
    """One place up or down among the workspace's own of its tier; the first stays first."""
    with transaction.atomic():
        turn()
        row = list(own().filter(tier=route.tier))
        at = row.index(route)
        to = min(max(0, at + by), len(row) - 1)
        row.insert(to, row.pop(at))
        for position, each in enumerate(row, start=1):
            if each.position != position:
                own().filter(pk=each.pk).update(position=position)
        if to != at:
            record("route.moved", route, model=name(route), tier=route.tier, place=to + 1)


def change(route: ModelRoute, **values: Any) -> None:
    """Write these columns of a route that was checked."""
    with transaction.atomic():
        own().filter(pk=route.pk).update(**values)
        record("route.changed", route, model=name(route), tier=route.tier, changed=sorted(values))


def remove(route: ModelRoute) -> None:
    with transaction.atomic():
        record("route.removed", route, model=name(route), tier=route.tier)
        route.delete()


def name(route: ModelRoute) -> str:
    return f"{route.provider}/{route.model}"


def turn() -> None:
    """Of two who change the same workspace's routes, one waits."""
    Tenant.objects.select_for_update(no_key=True).get(pk=require_tenant_id())
