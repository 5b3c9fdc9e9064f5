from collections.abc import Iterator

import pytest

from tests.gateway.stub import Stub


@pytest.fixture(scope="module")
def server() -> Iterator[Stub]:
    with Stub().serving() as stub:
        yield stub
