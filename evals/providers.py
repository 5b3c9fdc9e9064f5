"""Who answers while suites run: none of the environment's providers but the one that was named.

    offline          quotes the passages; needs nothing
    rehearsal        a small server of ours that follows the instructions it finds in a prompt, and no others
    openai           with OPENAI_API_KEY, and OPENAI_BASE_URL where that is set
    anthropic        with ANTHROPIC_API_KEY
    base_url=URL     a server that speaks OpenAI's wire format, such as Ollama, with OPENAI_MODEL

One that is named by its address alone is never sent a key.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from .bad import Bad

NAMES = ("offline", "rehearsal", "openai", "anthropic", "base_url=URL")
NOBODY: dict[str, Any] = {"OPENAI_API_KEY": "", "OPENAI_BASE_URL": "", "ANTHROPIC_API_KEY": "", "PROVIDERS": {}}


def require(name: str) -> str:
    """The name. Raises Bad for one that isn't known; needs no settings."""
    if name.startswith("base_url="):
        parts = urlsplit(name.removeprefix("base_url="))
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise Bad("--provider", f"{name!r} holds no address", "Write base_url=http://localhost:11434/v1.")
    elif name not in NAMES:
        raise Bad("--provider", f"there is no provider {name!r}", f"There are: {', '.join(NAMES)}.")
    return name


@contextmanager
def configure(name: str) -> Iterator[None]:
    """Point the settings at the provider, for everything that is called inside. Raises Bad.

    One for each event loop: a loop keeps the clients of the provider that it met first.
    """
    from django.test import override_settings

    require(name)
    if name == "rehearsal":
        from .rehearsal import MODEL, serving

        with serving() as base_url, override_settings(**NOBODY | listed(name, base_url, MODEL)):
            free(name, MODEL)
            yield
        return
    with override_settings(**NOBODY | configured(name)):
        yield


def configured(name: str) -> dict[str, Any]:
    from django.conf import settings

    if name == "openai":
        return {"OPENAI_API_KEY": key("OPENAI_API_KEY"), "OPENAI_BASE_URL": settings.OPENAI_BASE_URL}
    if name == "anthropic":
        return {"ANTHROPIC_API_KEY": key("ANTHROPIC_API_KEY")}
    if name.startswith("base_url="):
        return {"OPENAI_BASE_URL": name.removeprefix("base_url=")}
    return {}


def listed(name: str, base_url: str, model: str) -> dict[str, Any]:
    return {"PROVIDERS": {name: {"kind": "openai", "base_url": base_url, "api_key": "", "models": [model]}}}


def key(name: str) -> str:
    from django.conf import settings

    if not (value := getattr(settings, name)):
        raise Bad("--provider", f"{name} is not set", f"Set {name} in the environment.")
    return str(value)


def free(provider: str, model: str) -> None:
    """What runs here costs nothing, which is not the same as having no price."""
    from apps.runs.prices import enter

    enter(provider, model, input_usd=Decimal(0), output_usd=Decimal(0))
