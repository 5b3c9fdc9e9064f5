"""Two providers behind one stub: a cheap model, and a standard one that is another provider's."""

from collections.abc import Callable
from typing import Any

from django.conf import LazySettings

from apps.runs.models import ModelRoute, Policy
from apps.tenants.context import tenant_context
from apps.tenants.models import Tenant, Tier
from tests.gateway.stub import Finish, Say, Stub

KEY = "sk-corbel-canary-0123456789abcdef"
CHEAP, STANDARD = ("openai", "gpt-5-mini"), ("anthropic", "claude-haiku-4-5")


class InTurn(dict[str, Any]):
    """Scripts by model, a list each: every call takes the next, and the last of them for ever."""

    def __getitem__(self, model: str) -> Any:
        scripts = super().__getitem__(model)
        return scripts.pop(0) if len(scripts) > 1 else scripts[0]


def says(text: str, reason: str = "stop") -> tuple[Any, ...]:
    return Say(text), Finish(reason)


def serve(stub: Stub, settings: LazySettings) -> Callable[..., None]:
    """Configure both providers; returns how to script them: `script(cheap=[...], standard=[...])`."""
    stub.forget()
    settings.OPENAI_API_KEY, settings.OPENAI_BASE_URL = KEY, stub.base_url("openai")
    settings.ANTHROPIC_API_KEY, settings.ANTHROPIC_BASE_URL = KEY, stub.base_url("anthropic")
    settings.OPENAI_MODEL, settings.ANTHROPIC_MODEL = CHEAP[1], STANDARD[1]

    def script(cheap: list[Any] | None = None, standard: list[Any] | None = None) -> None:
        stub.scripts = InTurn({CHEAP[1]: cheap or [], STANDARD[1]: standard or []})

    return script


def give_tiers(tenant: Tenant, **policy: Any) -> None:
    """The cheap model below the cheap tier, the other below standard and strong; and a policy."""
    rows = [(Tier.CHEAP, CHEAP), (Tier.STANDARD, STANDARD), (Tier.STRONG, STANDARD)]
    with tenant_context(tenant):
        for tier, (provider, model) in rows:
            ModelRoute.unscoped.create(tenant=tenant, tier=tier, provider=provider, model=model)
        if policy:
            Policy.objects.create(**policy)
