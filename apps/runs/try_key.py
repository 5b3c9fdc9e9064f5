"""Whether a provider takes a key: asked when somebody enters one, and whenever they want to know again.

The provider lists its models, and a model that is named says a word or two. That costs whoever owns the key next to
nothing, and leaves no run: nothing of a workspace's is in it.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from apps.tenants.models import ProviderKey
from apps.tenants.outbound import StandIn, guarded_client
from apps.tenants.vault import Secret

from .gateway import errors
from .gateway.errors import GatewayError
from .gateway.providers.anthropic import AnthropicProvider
from .gateway.providers.openai import OpenAIProvider
from .gateway.providers.streaming import StreamingProvider
from .gateway.types import Deadlines, Message, Request, Target

WITHIN_S = 10.0
MOST_MODELS = 500
WORD = Request(messages=(Message("user", "Say OK."),), max_output_tokens=16)  # the least that every model takes

UNANSWERED = "The provider didn’t answer within ten seconds. Check the address, or try again in a minute."
LISTS_NOTHING = "This server doesn’t list its models. Write the name of one, so that the key can be tried with it."
SENTENCES: list[tuple[type[GatewayError], str]] = [
    (errors.KeyRefused, "The provider refuses this key. Was it copied whole, and is it still in use there?"),
    (errors.OutOfMoney, "The provider knows this key, and says that its account has no credit. Top it up there."),
    (errors.RateLimited, ""),  # it knows the key
    (errors.ContentFiltered, ""),
    (errors.DeadlineExceeded, UNANSWERED),
    (errors.ModelNotFound, "The provider has no model of that name for this key: {model}."),
    (errors.BadRequest, "The provider refuses a small question to {model}. Choose another model."),
    (errors.ProviderUnavailable, "Nothing at that address answers as this kind of provider does. Check the address."),
]


@dataclass(frozen=True, slots=True)
class Trial:
    """`fault` is a sentence for who entered the key, empty if it works; `models` what the provider lists, by name."""

    fault: str = ""
    models: tuple[str, ...] = ()


def try_key(kind: str, base_url: str, secret: Secret, model: str = "") -> Trial:
    """Ask the provider of that kind and address. Blocks for ten seconds at most, in a thread without an event loop."""
    return asyncio.run(trial(kind, base_url, secret, model))


async def trial(kind: str, base_url: str, secret: Secret, model: str = "") -> Trial:
    api_key = StandIn.of(secret)
    client = AnthropicProvider if kind == ProviderKey.Kind.ANTHROPIC else OpenAIProvider
    provider = client(api_key=api_key, base_url=base_url or None, http_client_factory=guarded_client)
    await provider.client()  # not on the provider's time: importing an SDK may take a second
    try:
        async with asyncio.timeout(WITHIN_S):
            models, error = await listed(provider)
            if isinstance(error, errors.ModelNotFound | errors.BadRequest):  # it has no such page
                error = None
                if not model:
                    return Trial(LISTS_NOTHING)
            if model and not error:
                error = await said_a_word(provider, model)
    except TimeoutError:
        return Trial(UNANSWERED)
    finally:
        await provider.aclose()
    return Trial(sentence(error, model), models)


async def listed(provider: StreamingProvider) -> tuple[tuple[str, ...], GatewayError | None]:
    options: dict[str, Any] = {"limit": MOST_MODELS} if isinstance(provider, AnthropicProvider) else {}
    try:
        client = await provider.client()
        page = await client.models.list(**options)
        names = {item.id for item in page.data if isinstance(item.id, str)}
    except Exception as error:
        known = provider.translate(error, Target(provider.name, ""))
        return (), known or errors.ProviderUnavailable(Target(provider.name, ""), detail=type(error).__name__)
    return tuple(sorted(names)[:MOST_MODELS]), None


async def said_a_word(provider: StreamingProvider, model: str) -> GatewayError | None:
    async def unheard(text: str) -> None:
        pass

    try:
        await provider.complete(WORD, model, unheard, Deadlines(first_token_s=WITHIN_S, total_s=WITHIN_S))
    except GatewayError as error:
        return error
    return None


def sentence(error: GatewayError | None, model: str) -> str:
    """What the person reads; the provider's own words may repeat the key."""
    if error is None:
        return ""
    said = next((text for kind, text in SENTENCES if isinstance(error, kind)), SENTENCES[-1][1])
    return said.format(model=model or "any model")
