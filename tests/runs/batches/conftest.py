from collections.abc import Iterator

import pytest
from django.conf import LazySettings

from apps.runs import chain
from apps.tenants.context import tenant_context
from tests.conftest import Cast

from .rows import MODEL, RowStub


@pytest.fixture(scope="session")
def server() -> Iterator[RowStub]:
    with RowStub().serving() as stub:
        yield stub


@pytest.fixture
def stub(server: RowStub, settings: LazySettings) -> RowStub:
    server.forget()
    chain._clients.clear()  # those of another test's server
    settings.OPENAI_API_KEY, settings.OPENAI_BASE_URL = "sk-none", server.base_url("openai")
    settings.OPENAI_MODEL = MODEL
    return server


@pytest.fixture
def acme(committed_cast: Cast, stub: RowStub) -> Iterator[Cast]:
    """Inside Acme, whose models answer."""
    with tenant_context(committed_cast.acme):
        yield committed_cast
