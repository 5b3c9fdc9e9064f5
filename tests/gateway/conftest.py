"""Both SDK providers against one stub server, and the real embedding model."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from apps.runs.gateway.breaker import Permit, Verdict
from apps.runs.gateway.providers.anthropic import AnthropicProvider
from apps.runs.gateway.providers.minilm import MiniLM
from apps.runs.gateway.providers.openai import OpenAIProvider
from apps.runs.gateway.providers.streaming import StreamingProvider
from apps.runs.gateway.types import Message, Request
from tests.gateway.stub import Stub

KEY = "sk-corbel-0123456789abcdef"
ROOT = Path(__file__).resolve().parents[2]

QUESTION = Request(
    messages=(Message("system", "Be brief."), Message("user", "Say hello.")),
    max_output_tokens=50,
    question="Say hello.",
)


class Heard:
    """An on_delta that remembers."""

    def __init__(self) -> None:
        self.pieces: list[str] = []

    async def __call__(self, text: str) -> None:
        self.pieces.append(text)


class Noted:
    """Circuits of which some are open, and which note what they were told."""

    def __init__(self, *open_ones: str) -> None:
        self.open_ones = open_ones
        self.left: list[tuple[str, Verdict]] = []
        self.waits: list[float | None] = []

    async def enter(self, circuit: str) -> Permit | None:
        return None if circuit in self.open_ones else Permit(circuit)

    async def leave(self, permit: Permit, verdict: Verdict, retry_after_s: float | None = None) -> None:
        await asyncio.sleep(0)  # as if asking Redis
        self.left.append((permit.circuit, verdict))
        self.waits.append(retry_after_s)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture(scope="session")
def server() -> Iterator[Stub]:
    with Stub().serving() as stub:
        yield stub


@pytest.fixture
def stub(server: Stub) -> Stub:
    server.forget()
    return server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One event loop for all tests here: each SDK client reads all root certificates, which takes 0.1 s."""
    for item in items:
        if pytest_asyncio.is_async_test(item) and item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def openai(server: Stub) -> AsyncIterator[OpenAIProvider]:
    provider = OpenAIProvider(api_key=KEY, base_url=server.base_url("openai"))
    yield provider
    await provider.aclose()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def anthropic(server: Stub) -> AsyncIterator[AnthropicProvider]:
    provider = AnthropicProvider(api_key=KEY, base_url=server.base_url("anthropic"))
    yield provider
    await provider.aclose()


@pytest.fixture(params=["openai", "anthropic"])
def provider(request: pytest.FixtureRequest, openai: OpenAIProvider, anthropic: AnthropicProvider) -> StreamingProvider:
    return openai if request.param == "openai" else anthropic


@pytest.fixture(scope="session")
def minilm() -> MiniLM:
    state = Path(os.environ.get("STATE_DIR") or ROOT / ".corbel")
    return MiniLM(Path(os.environ.get("MINILM_DIR") or state / "models" / "minilm"))
