"""Two providers whose files end when a test says so, one at a time."""

from collections.abc import Iterator

import pytest
from django.conf import LazySettings

from apps.runs import chain
from apps.tenants.context import tenant_context
from tests.conftest import Cast
from tests.gateway.batch_stub import BatchStub

from .half import configure


@pytest.fixture(scope="session")
def file_server() -> Iterator[BatchStub]:
    with BatchStub().serving() as stub:
        yield stub


@pytest.fixture(params=["openai", "anthropic"])
def provider(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def stub(file_server: BatchStub, settings: LazySettings, provider: str) -> BatchStub:
    file_server.forget()
    chain._clients.clear()  # those of another test's server
    configure(settings, provider, file_server.base_url(provider))
    return file_server


@pytest.fixture
def acme(committed_cast: Cast, stub: BatchStub) -> Iterator[Cast]:
    with tenant_context(committed_cast.acme):
        yield committed_cast
