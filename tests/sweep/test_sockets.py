"""Every WebSocket, by everybody who has no business there; and one's own, naming another workspace's objects."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from http.cookies import SimpleCookie
from typing import Any

import pytest
import pytest_asyncio

from apps.chat import reply
from apps.chat.models import Message
from apps.tenants import doors
from apps.tenants.models import User
from config.asgi import application, websocket_urls
from tests.chat.conftest import Socket

from .report import size, tried
from .world import World

Open = Callable[..., Awaitable[Socket | None]]
ORIGIN = "http://testserver"


@pytest_asyncio.fixture
async def connect(world: World) -> AsyncIterator[Open]:
    """connect(user, path, origin=...) -> an accepted socket, or None when it was refused."""
    opened: list[Socket] = []

    async def connect(user: User | None, path: str, *, origin: str = ORIGIN, host: str = "testserver") -> Socket | None:
        cookies = SimpleCookie(world.cookies[user.pk if user else None]).output(header="", sep=";").strip()
        headers = {b"host": host, b"origin": origin, b"cookie": cookies}
        pairs = [(name, value.encode()) for name, value in headers.items() if value]
        scope = {"type": "websocket", "path": path, "query_string": b"", "headers": pairs, "subprotocols": []}
        made = Socket(application, scope)
        if not await made.open():
            return None
        opened.append(made)
        return made

    yield connect
    for one in opened:
        await one.leave()
    await reply.drain()
    if opened:
        await doors.stop_listening()


def paths() -> list[str]:
    return [str(entry.pattern) for entry in websocket_urls]


def actions(path: str) -> list[str]:
    entry = next(entry for entry in websocket_urls if str(entry.pattern) == path)
    return list(entry.callback.consumer_class.actions)


@pytest.mark.parametrize("path", paths())
async def test_who_is_no_member_is_not_let_in(world: World, connect: Open, path: str) -> None:
    let_in = []
    size("socket", len(paths()))
    for who, user in world.outsiders.items():
        let_in += [who] if await connect(user, f"/t/acme/{path}") else []
        tried("sockets", who)

    assert let_in == []
    assert await connect(world.acme.owner, f"/t/acme/{path}") is not None


@pytest.mark.parametrize("path", paths())
@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://evil.example", "testserver"),
        ("", "testserver"),
        ("null", "testserver"),
        ("http://testserver.evil.example", "testserver"),
        ("http://evil.example", "evil.example"),
    ],
)
async def test_pages_of_others_open_no_socket(world: World, connect: Open, path: str, origin: str, host: str) -> None:
    tried("sockets", "wrong origin")

    assert await connect(world.acme.owner, f"/t/acme/{path}", origin=origin, host=host) is None


@pytest.mark.parametrize("path", paths())
async def test_frames_naming_anothers_objects_get_nothing(world: World, connect: Open, path: str) -> None:
    charlie = await connect(world.globex.owner, f"/t/globex/{path}")
    assert charlie is not None
    told = []
    for action in actions(path):
        for message in world.acme.rows[Message]:
            told += await answers(charlie, {"type": action, **objects(world, message.pk)})
            tried("frames", action)
    await charlie.ask("What does the secret chunk text say?")
    told += [str(event) for event in await charlie.hear_all()]

    assert await charlie.receive_nothing(0.3)
    assert [text for text in told if world.acme.mark in text] == []
    assert any(world.globex.mark in text for text in told)  # its own passages, so there was something to find


@pytest.mark.parametrize("path", paths())
async def test_the_owner_hears_the_reply_that_is_being_written(world: World, connect: Open, path: str) -> None:
    """Else the frames above would get nothing for another reason."""
    owner = await connect(world.acme.owner, f"/t/acme/{path}")
    assert owner is not None

    await owner.say({"type": "follow", "reply": str(world.acme.rows[Message][-1].pk), "cursor": "0"})

    assert world.acme.mark in (await owner.hear("delta"))["text"]


def objects(world: World, message: uuid.UUID) -> dict[str, Any]:
    """Acme's objects under every name that a frame may use."""
    named = {model._meta.model_name: str(rows[0].pk) for model, rows in world.acme.rows.items()}
    return {
        **named,
        **{f"{name}_id": value for name, value in named.items()},
        "id": str(uuid.uuid4()),
        "reply": str(message),
        "message": str(message),
        "text": "What does the secret text say?",
        "workspace": "acme",
        "tenant": str(world.acme.tenant.pk),
    }


async def answers(socket: Socket, frame: dict[str, Any]) -> list[str]:
    """What is said to a frame: everything up to the refusal of a senseless one sent after it."""
    await socket.say(frame)
    await socket.say("senseless")
    events = []
    while not events or events[-1].get("code") != "bad_frame":
        events.append(await socket.hear())
    return [str(event) for event in events]
