"""Whether the models that a workspace may use are answering: a page below its settings."""

from dataclasses import dataclass

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from redis import Redis, RedisError

from apps.tenants.http import WorkspaceRequest
from apps.tenants.permissions import Permission, needs

from . import chain, configuration, route
from .gateway import circuits
from .gateway.circuits import Circuit
from .gateway.types import Target

REDIS_WITHIN_S = 0.5
REASONS = {
    "failures": "Too many of its calls failed.",
    "wait": "The provider asked to be left alone for a while.",
    "key": "The provider refused the key, or its money is spent.",
    "probe": "It was tried again, and failed again.",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """A model, and its circuit if Redis answers. How often the platform's own calls fail is not a workspace's to know,
    so `reason` and the circuit's figures are shown for its own account alone."""

    target: Target
    is_own: bool
    circuit: Circuit | None
    reason: str


def reader() -> Redis:
    return Redis.from_url(settings.REDIS_URL, socket_timeout=REDIS_WITHIN_S, socket_connect_timeout=REDIS_WITHIN_S)


@require_GET
@needs(Permission.CHANGE_SETTINGS)
def model_state(request: WorkspaceRequest) -> HttpResponse:
    known = configuration.fresh()
    choices = {each.circuit: each for tier in route.allowed_tiers(known) for each in route.choices(known, tier)}
    is_quoting = all(each.target == chain.OFFLINE for each in choices.values()) and bool(choices)
    try:
        with reader() as redis:
            found = {circuit.name: circuit for circuit in circuits.read(redis, choices)}
    except RedisError:
        found = {}
    standings = [
        Standing(
            each.target,
            each.account is not None,
            circuit := found.get(name),
            REASONS.get(circuit.reason, "") if circuit and each.account else "",
        )
        for name, each in choices.items()
        if each.target != chain.OFFLINE
    ]
    context = {
        "standings": standings,
        "is_quoting": is_quoting,
        "is_unknown": bool(standings) and not found,
        "is_changing": any(circuit.state != "closed" for circuit in found.values()),
    }
    return render(request, "runs/model_state.html", context)
