"""Which models this installation can call, from its settings: the providers with a key, else the offline answerer.

A workspace may allow only some of them, by name; `allowed_only` leaves these.
"""

import asyncio
from collections.abc import Collection
from functools import cache
from weakref import WeakKeyDictionary

from django.conf import settings

from .gateway.providers.anthropic import AnthropicProvider
from .gateway.providers.base import Provider
from .gateway.providers.minilm import MiniLM
from .gateway.providers.offline import OfflineProvider
from .gateway.providers.openai import OpenAIProvider
from .gateway.types import Target

Chain = tuple[tuple[Provider, str], ...]

# An SDK's connections belong to the event loop that opened them.
_chains: WeakKeyDictionary[asyncio.AbstractEventLoop, Chain] = WeakKeyDictionary()


def is_offline() -> bool:
    """Whether no provider is configured, so that answers are quotes."""
    return not (settings.OPENAI_API_KEY or settings.OPENAI_BASE_URL or settings.ANTHROPIC_API_KEY)


@cache
def embedder() -> MiniLM:
    return MiniLM(settings.MINILM_DIR)


def chain() -> Chain:
    """Targets in the order they are tried. Call it in a running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _chains:
        _chains[loop] = build()
    return _chains[loop]


def allowed_only(targets: Chain, names: Collection[str]) -> Chain:
    """Those whose model is among `names`; all of them if there are no names. May be empty."""
    return tuple(target for target in targets if not names or target[1] in names)


def configured() -> tuple[Target, ...]:
    """What `chain` holds, in its order, without anything that could connect."""
    if is_offline():
        return (Target("offline", "extractive-1"),)
    targets = []
    if settings.OPENAI_API_KEY or settings.OPENAI_BASE_URL:
        targets.append(Target("openai", settings.OPENAI_MODEL))
    if settings.ANTHROPIC_API_KEY:
        targets.append(Target("anthropic", settings.ANTHROPIC_MODEL))
    return tuple(targets)


def build() -> Chain:
    return tuple((provider(target.provider), target.model) for target in configured())


def provider(name: str) -> Provider:
    if name == "openai":
        # A server of one's own often wants no key; the SDK wants a word.
        return OpenAIProvider(api_key=settings.OPENAI_API_KEY or "none", base_url=settings.OPENAI_BASE_URL or None)
    if name == "anthropic":
        return AnthropicProvider(api_key=settings.ANTHROPIC_API_KEY, base_url=settings.ANTHROPIC_BASE_URL or None)
    return OfflineProvider(embedder())
