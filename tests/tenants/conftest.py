"""Sockets to talk to, as the chat's tests have them; and two workspaces that have something of everything."""

import pytest

from tests.chat.conftest import handbooks, sessions, socket
from tests.chat.test_socket import server, slow_model
from tests.conftest import Cast

from .belongings import MINE, THEIRS, plant

__all__ = ["handbooks", "server", "sessions", "slow_model", "socket"]


@pytest.fixture
def planted(committed_cast: Cast) -> Cast:
    plant(committed_cast.acme, committed_cast.alice, MINE)
    plant(committed_cast.globex, committed_cast.charlie, THEIRS)
    return committed_cast
