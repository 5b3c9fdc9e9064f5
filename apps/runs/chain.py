"""Which models can be asked, in which order, and with whose key.

The installation has the providers of its settings; a workspace may have accounts of its own. A tier is the routes
that somebody entered for it; without any it is all of the workspace's own accounts, or if it has none, everything
that the installation has. Without a provider at all the offline answerer quotes.
"""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

from django.conf import settings

from apps.tenants.models import ProviderKey, Tier

from .configuration import Configuration
from .gateway.breaker import circuit_key
from .gateway.providers.anthropic import AnthropicProvider
from .gateway.providers.base import Provider
from .gateway.providers.batch_anthropic import AnthropicBatches
from .gateway.providers.batch_openai import OpenAIBatches
from .gateway.providers.batches import Batches
from .gateway.providers.minilm import MiniLM
from .gateway.providers.offline import OfflineProvider
from .gateway.providers.openai import OpenAIProvider
from .gateway.types import Endpoint, Price, Target
from .models import ModelRoute, Processing

OFFLINE = Target("offline", "extractive-1")
OWN_CLIENTS = 500  # of workspaces' own accounts, kept open in one event loop


@dataclass(frozen=True, slots=True)
class Choice:
    """A model that may be asked: the installation's, or through a workspace's own account."""

    target: Target
    context_tokens: int | None = None
    account: ProviderKey | None = None
    prices: tuple[Price, ...] = ()  # those that held when its call was admitted, and what it can cost by them at most
    bound_usd: Decimal = Decimal(0)

    @property
    def circuit(self) -> str:
        if self.account is None:
            return circuit_key(self.target.provider, self.target.model)
        return circuit_key(
            self.target.provider, self.target.model, tenant_id=self.account.tenant_id, provider_key_id=self.account.pk
        )


# An SDK's connections belong to the event loop that opened them.
_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[object, Provider]] = WeakKeyDictionary()


@cache
def embedder() -> MiniLM:
    return MiniLM(settings.MINILM_DIR)


def is_offline() -> bool:
    """Whether no provider is configured, so that answers are quotes."""
    return configured() == (OFFLINE,)


def is_quoting(configuration: Configuration) -> bool:
    """Whether the workspace has nobody but the offline answerer to ask."""
    return is_offline() and not configuration.provider_keys


def configured() -> tuple[Target, ...]:
    """Every model of the installation, in the order of its settings."""
    targets = []
    if settings.OPENAI_API_KEY or settings.OPENAI_BASE_URL:
        targets.append(Target("openai", settings.OPENAI_MODEL))
    if settings.ANTHROPIC_API_KEY:
        targets.append(Target("anthropic", settings.ANTHROPIC_MODEL))
    targets += [Target(name, model) for name, provider in settings.PROVIDERS.items() for model in provider["models"]]
    return tuple(targets) or (OFFLINE,)


def choices(configuration: Configuration, tier: Tier) -> tuple[Choice, ...]:
    """The models of a tier, in the order in which they are asked, of those that the workspace allows."""
    own = configuration.provider_keys
    routes = configuration.routes(tier)
    if routes:
        found = [choice for route in routes if (choice := routed(route, configuration))]
    elif own:
        found = [Choice(Target(key.name, model), account=key) for key in own.values() for model in key.model_names]
    else:
        found = [Choice(target) for target in configured()]
    return tuple(allowed_only(found, configuration.allowed_models))


def routed(route: ModelRoute, configuration: Configuration) -> Choice | None:
    """What a route leads to; None if its provider is no longer there."""
    target = Target(route.provider, route.model)
    if account := configuration.provider_keys.get(route.provider):
        return Choice(target, route.context_tokens, account)
    return Choice(target, route.context_tokens) if route.provider in installed() else None


def installed() -> set[str]:
    """The names of the installation's providers."""
    return {target.provider for target in configured()}


def allowed_only(found: Iterable[Choice], names: Collection[str]) -> list[Choice]:
    """Those whose model is among `names`; all of them if there are no names. May be empty."""
    return [choice for choice in found if not names or choice.target.model in names]


def prices(
    choice: Choice, configuration: Configuration, processing: Processing = Processing.ONLINE
) -> tuple[Price, ...]:
    """Every price that may hold for a call: one, and those of long contexts. Empty for a model without a price."""
    account = choice.account
    if account is None:
        return configuration.prices_of(choice.target, processing)
    if account.input_usd is not None:  # what files cost there, nobody has said
        own = Price(input=account.input_usd, output=account.output_usd)
        return (own,) if processing == Processing.ONLINE else ()
    if account.base_url:  # another's server: what the makers of a model charge says nothing of it
        return ()
    return configuration.prices_of(Target(account.kind, choice.target.model), processing)


def endpoint(choice: Choice) -> Endpoint:
    """The choice, ready to be asked. Call it in a running event loop; a workspace's own key is opened here."""
    target = choice.target
    return Endpoint(
        connect(choice),
        target.model,
        circuit="" if target == OFFLINE else choice.circuit,
        context_tokens=choice.context_tokens,
    )


def connect(choice: Choice) -> Provider:
    """The client of the choice's account, one for each event loop."""
    clients = _clients.setdefault(asyncio.get_running_loop(), {})
    account, name = choice.account, choice.target.provider
    known_by: object = account_key(account) if account else name
    if known_by not in clients:
        if len(clients) > OWN_CLIENTS:
            clients.clear()
        clients[known_by] = own_client(account) if account else installed_client(name)
    return clients[known_by]


def batches(choice: Choice) -> Batches[Any]:
    """Files of requests for the choice's model, through the same client. Call it in a running event loop."""
    provider = connect(choice)
    if isinstance(provider, AnthropicProvider):
        return AnthropicBatches(provider, choice.target.model)
    if isinstance(provider, OpenAIProvider):
        return OpenAIBatches(provider, choice.target.model)
    raise LookupError(f"{choice.target} takes no files.")


def account_key(account: ProviderKey) -> object:
    """What a client was made of: another key or address makes another client."""
    return account.pk, bytes(account.sealed), account.base_url


def own_client(account: ProviderKey) -> Provider:
    from apps.tenants.provider_keys import guarded_client, open_key

    client = AnthropicProvider if account.kind == ProviderKey.Kind.ANTHROPIC else OpenAIProvider
    return client(
        api_key=open_key(account),
        base_url=account.base_url or None,
        name=account.name,
        http_client_factory=guarded_client,
    )


def installed_client(name: str) -> Provider:
    # A server of one's own often wants no key; the SDK wants a word.
    if name == "openai":
        return OpenAIProvider(api_key=settings.OPENAI_API_KEY or "none", base_url=settings.OPENAI_BASE_URL or None)
    if name == "anthropic":
        return AnthropicProvider(api_key=settings.ANTHROPIC_API_KEY, base_url=settings.ANTHROPIC_BASE_URL or None)
    if name == OFFLINE.provider:
        return OfflineProvider(embedder())
    provider = settings.PROVIDERS[name]
    client = AnthropicProvider if provider["kind"] == "anthropic" else OpenAIProvider
    return client(api_key=provider["api_key"] or "none", base_url=provider["base_url"] or None, name=name)
