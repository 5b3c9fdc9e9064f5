"""Which models this installation can call, from its settings: the providers with a key, else the offline answerer."""

import asyncio
from functools import cache
from weakref import WeakKeyDictionary

from django.conf import settings

from .gateway.providers.anthropic import AnthropicProvider
from .gateway.providers.base import Provider
from .gateway.providers.minilm import MiniLM
from .gateway.providers.offline import OfflineProvider
from .gateway.providers.openai import OpenAIProvider

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


def build() -> Chain:
    if is_offline():
        return ((OfflineProvider(embedder()), "extractive-1"),)
    targets: list[tuple[Provider, str]] = []
    if settings.OPENAI_API_KEY or settings.OPENAI_BASE_URL:
        # A server of one's own often wants no key; the SDK wants a word.
        openai = OpenAIProvider(api_key=settings.OPENAI_API_KEY or "none", base_url=settings.OPENAI_BASE_URL or None)
        targets.append((openai, settings.OPENAI_MODEL))
    if settings.ANTHROPIC_API_KEY:
        anthropic = AnthropicProvider(api_key=settings.ANTHROPIC_API_KEY, base_url=settings.ANTHROPIC_BASE_URL or None)
        targets.append((anthropic, settings.ANTHROPIC_MODEL))
    return tuple(targets)
