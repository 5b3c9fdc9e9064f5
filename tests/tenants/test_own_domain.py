"""A workspace at its own domain: its pages, its sessions and its sockets are there, and nothing else is."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from apps.chat import reply
from apps.tenants.context import tenant_context
from apps.tenants.models import Domain, Membership, User
from apps.tenants.threads import in_thread
from config.asgi import application
from tests.chat.conftest import Socket
from tests.conftest import PASSWORD, Cast, signed_in
from tests.tenants.browsers import OWN, at, give_domain

MAIN = "http://localhost:8000"


@pytest.fixture(autouse=True)
def nothing_counted() -> Iterator[None]:
    """Limits of signing in live in Redis, which no test's rollback empties."""
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def domain(cast: Cast) -> Domain:
    return give_domain(cast.acme)


def test_its_pages_are_at_the_root_for_members(domain: Domain, cast: Cast) -> None:
    client = at(OWN, cast.alice)

    assert client.get("/").status_code == 200
    page = client.get("/documents/").content.decode()
    assert 'href="/search/"' in page and 'href="/settings/"' in page and "/t/acme/" not in page
    assert client.get("/admin/").status_code == 200
    assert at(OWN, cast.bob).get("/settings/").status_code == 403


def test_what_pages_are_made_of_is_there_too(domain: Domain) -> None:
    assert at(OWN).get("/static/favicon.svg").status_code == 200


def test_an_outsider_gets_404_there_and_strangers_sign_in_there(domain: Domain, cast: Cast) -> None:
    assert at(OWN, cast.charlie).get("/documents/").status_code == 404
    assert at(OWN).get("/documents/?q=1").url == "/accounts/login/?next=/documents/%3Fq%3D1"
    assert at(OWN).get("/accounts/login/").status_code == 200


@pytest.mark.parametrize(
    "path", ["/platform/", "/workspaces/", "/workspaces/new/", "/t/acme/", "/t/globex/", "/t/acme"]
)
def test_the_hub_is_not_there(domain: Domain, cast: Cast, path: str) -> None:
    operator = User.objects.create_superuser("admin@corbel.example", PASSWORD)
    with tenant_context(cast.acme):
        Membership.objects.create(user=operator, role=Membership.Role.OWNER)

    for client in (at(OWN), at(OWN, cast.alice), at(OWN, operator)):
        assert client.get(path).status_code == 404
        assert client.post(path).status_code in (403, 404)


@pytest.mark.parametrize(
    "path", ["/accounts/signup/", "/accounts/password/reset/", "/accounts/", "/accounts/email/?a=b"]
)
def test_the_rest_of_an_account_is_on_the_main_host(domain: Domain, cast: Cast, path: str) -> None:
    assert at(OWN).get(path).url == MAIN + path
    assert at(OWN).post(path, {"email": cast.alice.email}).status_code == 404


def test_links_to_elsewhere_lead_to_the_main_host(domain: Domain, cast: Cast) -> None:
    with tenant_context(cast.globex):
        Membership.objects.create(user=cast.alice)

    page = at(OWN, cast.alice).get("/documents/").content.decode()

    assert f'href="{MAIN}/t/globex/"' in page
    assert f'href="{MAIN}/workspaces/new/"' in page
    assert 'action="/accounts/logout/"' in page


def test_signing_in_without_a_page_in_mind_leads_into_the_workspace(domain: Domain, cast: Cast) -> None:
    response = at(OWN).post("/accounts/login/", {"login": cast.alice.email, "password": PASSWORD})

    assert response.url == "/"


def test_a_form_from_another_origin_is_refused(domain: Domain, cast: Cast) -> None:
    client = at(OWN, cast.alice, enforce_csrf_checks=False)
    strict = Client(headers={"host": OWN}, enforce_csrf_checks=True)
    strict.cookies = client.cookies
    token = strict.get("/settings/").context["csrf_token"]
    said = {"name": "Acme Ltd", "csrfmiddlewaretoken": str(token)}

    def status(origin: str, **more: Any) -> int:
        return strict.post("/settings/", said, headers={"origin": origin}, **more).status_code

    assert status(f"http://{OWN}") == 302
    assert status("https://evil.example") == status("null") == status("http://localhost") == 403
    assert status(f"https://{OWN}", secure=True) == 302
    assert status(f"http://{OWN}", secure=True) == 403


@pytest.mark.parametrize("host", ["testserver", OWN])
@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/", "http://localhost.evil.example/"])
def test_signing_in_leads_to_no_strangers(domain: Domain, cast: Cast, host: str, elsewhere: str) -> None:
    said = {"login": cast.alice.email, "password": PASSWORD, "next": elsewhere}

    assert at(host).post("/accounts/login/", said).url in ("/", "/workspaces/")


# --- Sessions stay where they were opened


def copied(client: Client, host: str) -> Client:
    """Another browser at `host`, with the cookies of this one: what the owner of a domain could do with them."""
    thief = Client(headers={"host": host})
    thief.cookies = deepcopy(client.cookies)
    return thief


def test_a_session_of_ones_own_domain_opens_nothing_else(cast: Cast, domain: Domain) -> None:
    """Charlie could lead his domain to a server of his, read Alice's cookie there and try it elsewhere."""
    give_domain(cast.globex, "chat.globex.example")
    with tenant_context(cast.globex):
        Membership.objects.create(user=cast.alice)
    alice = at("chat.globex.example", cast.alice)
    assert alice.get("/documents/").status_code == 200

    assert copied(alice, "testserver").get("/t/acme/").url.startswith("/accounts/login/")
    assert copied(alice, "testserver").get("/accounts/").url.startswith("/accounts/login/")
    assert copied(alice, OWN).get("/documents/").url.startswith("/accounts/login/")
    assert copied(alice, "chat.globex.example").get("/documents/").status_code == 200


def test_a_session_of_the_main_host_opens_no_domain(cast: Cast, domain: Domain) -> None:
    alice = signed_in(cast.alice)

    assert copied(alice, OWN).get("/documents/").url.startswith("/accounts/login/")
    assert copied(alice, "testserver").get("/t/acme/").status_code == 200


def test_cookies_are_of_the_host_alone(cast: Cast, domain: Domain) -> None:
    cookies = at(OWN, cast.alice).cookies

    assert cookies["sessionid"].value and {morsel["domain"] for morsel in cookies.values()} == {""}


def test_when_a_domain_goes_its_sessions_go(cast: Cast, domain: Domain) -> None:
    alice = at(OWN, cast.alice)

    with tenant_context(cast.acme):
        domain.delete()
    assert alice.get("/documents/").status_code == 400

    give_domain(cast.globex)
    assert alice.get("/documents/").url.startswith("/accounts/login/")


# --- Sockets


def connect(host: str, path: str, client: Client, *, origin: str = "") -> Socket:
    cookie = f"sessionid={client.cookies['sessionid'].value}"
    headers = [("host", host), ("origin", origin or f"http://{host}"), ("cookie", cookie)]
    scope = {"type": "websocket", "path": path, "query_string": b"", "subprotocols": []}
    return Socket(application, {**scope, "headers": [(name.encode(), value.encode()) for name, value in headers]})


async def test_the_chat_opens_at_the_domain_for_its_own_sessions(committed_cast: Cast) -> None:
    def prepare() -> tuple[Client, Client]:
        give_domain(committed_cast.acme)
        return at(OWN, committed_cast.alice), signed_in(committed_cast.alice)

    there, at_home = await in_thread(prepare)

    async def opens(host: str, path: str, client: Client, **more: str) -> bool:
        made = connect(host, path, client, **more)
        is_open = await made.open()
        if is_open:
            await made.leave()
        return is_open

    chat = connect(OWN, "/ws/chat/", there)
    assert await chat.open()
    await chat.ask("How many days of leave?")
    assert (await chat.hear("accepted"))["conversation"]["url"].startswith("/chat/")
    assert (await chat.hear_all())[-1]["type"] == "done"
    await chat.leave()
    await reply.drain()

    assert await opens(OWN, "/ws/chat/", there)
    assert await opens("testserver", "/t/acme/ws/chat/", at_home)
    assert not await opens(OWN, "/ws/chat/", at_home)
    assert not await opens("testserver", "/t/acme/ws/chat/", there)
    assert not await opens("testserver", "/ws/chat/", at_home)
    assert not await opens(OWN, "/t/acme/ws/chat/", there)
    assert not await opens(OWN, "/ws/chat/", there, origin="http://evil.example")
    assert not await opens(OWN, "/ws/chat/", there, origin="http://testserver")
    assert not await opens("evil.example", "/ws/chat/", there)
    assert not await opens("evil.example", "/t/acme/ws/chat/", at_home)
