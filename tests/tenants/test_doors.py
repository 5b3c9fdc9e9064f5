"""A socket ends when its user's place, session or workspace does, though they send nothing and whoever holds it."""

import asyncio
import os
import socket as sockets
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from apps.chat import reply
from apps.chat.models import Message
from apps.tenants import doors, members
from apps.tenants.context import tenant_context, user_context
from apps.tenants.models import Membership, Tenant
from apps.tenants.session_store import SessionStore
from apps.tenants.threads import in_thread
from tests.chat.conftest import _cookies
from tests.chat.test_socket import begin_story, until
from tests.conftest import ROOT, Cast, signed_in
from tests.gateway.stub import Stub

ACME, GLOBEX = "/t/acme/ws/chat/", "/t/globex/ws/chat/"
Role = Membership.Role
CLOSED = {"type": "websocket.close", "code": 4403}


async def last_word(one: Any) -> dict[str, Any]:
    """What a socket is told next, and that nothing follows."""
    event = await one.receive_output(timeout=10)
    assert await one.receive_nothing(0.1)
    return event


async def is_open(one: Any) -> bool:
    await one.say("not json")
    return (await one.hear())["code"] == "bad_frame"


async def until_listening(number: int = 1) -> None:
    """Until that many processes hear what is said of doors."""
    async with Redis.from_url(os.environ["REDIS_URL"]) as redis:

        async def are_listening() -> bool:
            return (await redis.pubsub_numsub(doors.CHANNEL))[0][1] == number

        await until(are_listening)


def remove_bob(cast: Cast) -> None:
    with tenant_context(cast.acme), user_context(cast.alice):
        members.remove(Membership.objects.get(user=cast.bob), Membership.objects.get(user=cast.alice))


async def test_a_removed_members_idle_socket_closes_at_once_and_nobody_elses(committed_cast: Cast, socket: Any) -> None:
    alice, bob = await socket(committed_cast.alice, ACME), await socket(committed_cast.bob, ACME)
    charlie = await socket(committed_cast.charlie, GLOBEX)
    await until_listening()

    await in_thread(remove_bob, committed_cast)
    removed_at = time.monotonic()
    told = await last_word(bob)

    assert told == CLOSED
    assert time.monotonic() - removed_at < 1
    assert await is_open(alice) and await is_open(charlie)
    assert await socket(committed_cast.bob, ACME) is None


async def test_who_leaves_is_cut_off_in_their_other_pages(committed_cast: Cast, socket: Any) -> None:
    bob = await socket(committed_cast.bob, ACME)
    await until_listening()

    browser = await in_thread(signed_in, committed_cast.bob)
    response = await in_thread(browser.post, "/t/acme/members/leave/")

    assert response.url == "/workspaces/"
    assert await last_word(bob) == CLOSED


async def test_another_role_makes_the_page_come_back(committed_cast: Cast, socket: Any) -> None:
    bob = await socket(committed_cast.bob, ACME)
    await until_listening()

    def demote() -> None:
        with tenant_context(committed_cast.acme), user_context(committed_cast.alice):
            alice = Membership.objects.get(user=committed_cast.alice)
            members.change_role(Membership.objects.get(user=committed_cast.bob), Role.VIEWER, alice)

    await in_thread(demote)

    assert await last_word(bob) == {"type": "websocket.close", "code": 1012}
    assert await is_open(await socket(committed_cast.bob, ACME))


async def test_a_reply_under_way_is_stored_and_no_longer_shown(handbooks: Cast, socket: Any, slow_model: Stub) -> None:
    bob = await socket(handbooks.bob, ACME)
    accepted = await begin_story(bob)

    await in_thread(remove_bob, handbooks)
    events = [await bob.receive_output(timeout=5)]
    while events[-1]["type"] == "websocket.send":  # what was on its way before
        events.append(await bob.receive_output(timeout=5))
    await reply.drain()  # the model says no more

    assert events[-1] == CLOSED
    assert await bob.receive_nothing(0.2)
    with tenant_context(handbooks.acme):
        stored = await in_thread(Message.objects.get, pk=accepted["reply"])
    assert (stored.status, stored.text.strip()) == ("stopped", "Once upon")


async def test_signing_out_closes_that_sessions_sockets_alone(committed_cast: Cast, socket: Any) -> None:
    elsewhere = await socket(committed_cast.alice, ACME)
    browser = await in_thread(signed_in, committed_cast.alice)
    _cookies[committed_cast.alice.pk] = f"sessionid={browser.cookies['sessionid'].value}"
    here = await socket(committed_cast.alice, ACME)
    await until_listening()

    await in_thread(browser.post, "/accounts/logout/")

    assert await last_word(here) == CLOSED
    assert await is_open(elsewhere)


@pytest.mark.parametrize("method", ["delete", "adelete"])
async def test_a_session_ended_from_another_one_closes_its_sockets(
    committed_cast: Cast, socket: Any, method: str
) -> None:
    alice = await socket(committed_cast.alice, ACME)
    await until_listening()
    store = SessionStore()
    key = _cookies[committed_cast.alice.pk].partition("=")[2]

    if method == "delete":
        await in_thread(store.delete, key)
    else:
        await store.adelete(key)

    assert await last_word(alice) == CLOSED


async def test_a_session_with_a_new_key_makes_the_page_come_back(committed_cast: Cast, socket: Any) -> None:
    alice = await socket(committed_cast.alice, ACME)
    await until_listening()
    store = SessionStore(_cookies[committed_cast.alice.pk].partition("=")[2])

    await in_thread(store.cycle_key)  # as changing one's password does
    told = await last_word(alice)
    _cookies[committed_cast.alice.pk] = f"sessionid={store.session_key}"

    assert told == {"type": "websocket.close", "code": 1012}
    assert await is_open(await socket(committed_cast.alice, ACME))


async def test_a_suspended_workspace_closes_everybodys(committed_cast: Cast, socket: Any) -> None:
    acmes = [await socket(user, ACME) for user in (committed_cast.alice, committed_cast.bob)]
    charlie = await socket(committed_cast.charlie, GLOBEX)
    await until_listening()

    await in_thread(doors.close_doors, committed_cast.acme.id)

    assert [await last_word(one) for one in acmes] == [CLOSED, CLOSED]
    assert await is_open(charlie)


async def test_what_happened_while_nobody_listened_is_made_up_for(committed_cast: Cast, socket: Any) -> None:
    alice, bob = await socket(committed_cast.alice, ACME), await socket(committed_cast.bob, ACME)
    await until_listening()
    with tenant_context(committed_cast.acme):
        await in_thread(Membership.objects.filter(user=committed_cast.bob).delete)  # and no word of it

    async with Redis.from_url(os.environ["REDIS_URL"]) as redis:
        await redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

    assert await last_word(bob) == CLOSED
    assert await is_open(alice)


async def test_without_redis_a_removal_succeeds_and_the_next_frame_ends_the_socket(
    committed_cast: Cast, socket: Any, settings: Any
) -> None:
    bob = await socket(committed_cast.bob, ACME)
    await until_listening()
    settings.REDIS_URL = "redis://127.0.0.1:9/0"  # nobody listens there
    doors._publisher.cache_clear()

    try:
        began_at = time.monotonic()
        await in_thread(remove_bob, committed_cast)
        took_s = time.monotonic() - began_at
    finally:
        doors._publisher.cache_clear()

    assert took_s < 3
    assert await bob.receive_nothing(0.2)
    await bob.ask("How many days of paid leave do we get?")
    assert await last_word(bob) == CLOSED


async def test_who_was_shut_out_between_the_check_and_the_door_is_found(committed_cast: Cast) -> None:
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    async def no() -> bool:
        return False

    async def database_is_away() -> bool:
        raise OSError("away")

    for answer, code in ((no, 4403), (database_is_away, 1012)):
        door = doors.Door({}, asyncio.Event().wait, send, answer)
        assert await door.check() is False
        await door.send({"type": "websocket.send", "text": "too late"})
        assert await door.receive() == {"type": "websocket.disconnect", "code": code}
        assert sent.pop() == {"type": "websocket.close", "code": code} and sent == []


def test_nobody_closes_every_door_of_everybody() -> None:
    with pytest.raises(ValueError):
        doors.close_doors()


@pytest.fixture
def two_servers(committed_cast: Cast) -> Iterator[list[int]]:
    """The ports of two web processes on the test's database."""
    ports = []
    for _ in range(2):
        with sockets.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    command = [sys.executable, "-m", "uvicorn", "config.asgi:application", "--log-level", "warning", "--port"]
    running = [subprocess.Popen([*command, str(port)], cwd=ROOT, env=dict(os.environ)) for port in ports]
    try:
        for port in ports:
            for _ in range(600):
                try:
                    sockets.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.1)
        yield ports
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(20)


async def test_every_process_closes_its_own(committed_cast: Cast, two_servers: list[int]) -> None:
    def page(port: int, cookie: str) -> Any:
        return connect(
            f"ws://127.0.0.1:{port}{ACME}",
            origin=f"http://127.0.0.1:{port}",
            additional_headers={"Cookie": cookie},
            proxy=None,
        )

    first, second = two_servers
    bobs, alices = _cookies[committed_cast.bob.pk], _cookies[committed_cast.alice.pk]
    async with page(first, bobs) as one, page(second, bobs) as other, page(second, alices) as hers:
        await until_listening(2)

        await in_thread(remove_bob, committed_cast)
        removed_at = time.monotonic()
        codes = []
        for each in (one, other):
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(each.recv(), 5)
            codes.append(closed.value.rcvd.code)
        took_s = time.monotonic() - removed_at

        await hers.send("not json")
        assert "bad_frame" in await asyncio.wait_for(hers.recv(), 5)
    assert codes == [4403, 4403]
    assert took_s < 1
    print(f"two processes closed within {took_s * 1000:.0f} ms")  # noqa: T201  (pytest -s shows it)


def test_a_workspace_in_another_state_is_closed_to_new_sockets(committed_cast: Cast) -> None:
    from apps.tenants.sockets import find_membership

    key = _cookies[committed_cast.bob.pk].partition("=")[2]
    assert find_membership(key, "acme") is not None

    for fields in ({"status": "suspended"}, {"status": "active", "mfa_required": True}):
        with tenant_context(committed_cast.acme):
            Tenant.objects.filter(pk=committed_cast.acme.pk).update(**fields)
        assert find_membership(key, "acme") is None
