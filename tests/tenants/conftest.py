"""Sockets to talk to, as the chat's tests have them."""

from tests.chat.conftest import handbooks, sessions, socket
from tests.chat.test_socket import server, slow_model

__all__ = ["handbooks", "server", "sessions", "slow_model", "socket"]
