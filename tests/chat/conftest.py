"""Acme and Globex with a handbook each, and sockets to talk to."""

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from asgiref.testing import ApplicationCommunicator
from django.conf import settings
from django.core.files.base import ContentFile
from django.test import Client

from apps.chat import reply
from apps.knowledge.add import store
from apps.knowledge.ingest import ingest
from apps.tenants.context import tenant_context
from apps.tenants.models import User
from config.asgi import application
from tests.conftest import Cast
from tests.gateway.stub import Finish, Say, Stub

ACME = "# Handbook\n\n## Leave\n\nEverybody at Acme gets 28 days of paid leave a year, on top of public holidays.\n"
GLOBEX = "# Guide\n\n## Leave\n\nGlobex gives 25 days of paid leave a year plus your birthday.\n"


@pytest.fixture
def handbooks(committed_cast: Cast, media: Path) -> Cast:
    for tenant, text in ((committed_cast.acme, ACME), (committed_cast.globex, GLOBEX)):
        with tenant_context(tenant):
            ingest(store(ContentFile(text.encode(), name="handbook.md"), user=None).id)
    return committed_cast


class Socket(ApplicationCommunicator):
    """A browser's end of a WebSocket, without the network."""

    async def open(self) -> bool:
        await self.send_input({"type": "websocket.connect"})
        return (await self.receive_output(timeout=10))["type"] == "websocket.accept"

    async def ask(self, text: str, **fields: Any) -> str:
        frame = {"type": "ask", "id": str(uuid.uuid4()), "conversation": None, "text": text, **fields}
        await self.say(frame)
        return frame["id"]

    async def say(self, frame: dict[str, Any] | str) -> None:
        text = frame if isinstance(frame, str) else json.dumps(frame)
        await self.send_input({"type": "websocket.receive", "text": text})

    async def leave(self) -> None:
        await self.send_input({"type": "websocket.disconnect", "code": 1001})
        await self.wait(timeout=10)

    async def hear(self, kind: str = "") -> dict[str, Any]:
        """The next event, or the next of one kind."""
        while True:
            event = json.loads((await self.receive_output(timeout=20))["text"])
            if kind in ("", event["type"]):
                return event

    async def hear_all(self) -> list[dict[str, Any]]:
        """Events up to the one that ends a reply."""
        events = []
        while not events or events[-1]["type"] not in ("done", "error"):
            events.append(await self.hear())
        return events


@pytest_asyncio.fixture
async def socket() -> Any:
    """connect(user, "/t/acme/ws/chat/") -> an accepted Socket; all are closed, and replies drained, at the end."""
    opened: list[Socket] = []

    async def connect(
        user: User | None, path: str, *, origin: str = "http://testserver", more_cookies: str = ""
    ) -> Socket | None:
        headers = [(b"host", b"testserver"), (b"origin", origin.encode())]
        if user is not None:
            headers.append((b"cookie", (more_cookies + session_cookie(user)).encode()))
        scope = {"type": "websocket", "path": path, "query_string": b"", "headers": headers, "subprotocols": []}
        made = Socket(application, scope)
        if not await made.open():
            return None
        opened.append(made)
        return made

    yield connect
    for one in opened:
        await one.leave()
    await reply.drain()


_cookies: dict[Any, str] = {}


def session_cookie(user: User) -> str:
    return _cookies[user.pk]


@pytest.fixture(autouse=True)
def sessions(request: pytest.FixtureRequest) -> Callable[[], None] | None:
    """Sign the cast in beforehand: a coroutine must not block on the database."""
    if "committed_cast" not in request.fixturenames:
        return
    cast: Cast = request.getfixturevalue("committed_cast")
    for user in (cast.alice, cast.bob, cast.charlie):
        client = Client()
        client.force_login(user)
        _cookies[user.pk] = f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


@pytest.fixture(scope="module")
def citing_server() -> Iterator[Stub]:
    with Stub().serving() as stub:
        yield stub


@pytest.fixture
def model(citing_server: Stub, settings: Any) -> Stub:
    """A model that cites the first passage."""
    citing_server.calls.clear()
    citing_server.scripts.clear()
    settings.OPENAI_API_KEY, settings.OPENAI_BASE_URL = "sk-test", citing_server.base_url("openai")
    citing_server.script(settings.OPENAI_MODEL, Say("You get "), Say("28 days [1]."), Finish())
    citing_server.model = settings.OPENAI_MODEL
    return citing_server
