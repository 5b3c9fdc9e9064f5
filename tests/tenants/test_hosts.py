"""Which host names are answered, and the games that are played with them."""

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from django.db import connection
from django.test import Client

from apps.tenants.hosts import NOTHING_HERE
from apps.tenants.models import Domain
from config import env
from config.asgi import application
from tests.conftest import Cast, signed_in
from tests.tenants.browsers import OWN, at, give_domain


@pytest.fixture
def domain(cast: Cast) -> Domain:
    return give_domain(cast.acme)


@pytest.mark.parametrize(
    "host",
    ["testserver", "localhost", "localhost:8000", "LOCALHOST", "localhost.", "127.0.0.1:80", "Chat.Acme.Example:8443"],
)
def test_our_names_are_answered(domain: Domain, host: str) -> None:
    assert at(host).get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "evil.localhost",
        "evil.example:80@localhost",
        "user@localhost",
        "localhost@evil.example",
        "localhost/..",
        "localhost..",
        ".localhost",
        "localhost:",
        "localhost:80:80",
        "localhost:http",
        "localhost, evil.example",
        "localhost evil.example",
        "",
        ".",
        "::1",
        "[::1",
        "[::ffff:127.0.0.1]",
        "127.1",
        "2130706433",
        "lоcalhost",
        "chat.acme.example.evil.example",
        "x.chat.acme.example",
        "acme.example",
        "chat.acme.example..",
        "*",
        "%",
        "a" * 300,
    ],
)
def test_other_names_get_a_sentence(domain: Domain, host: str) -> None:
    response = Client().get("/healthz", headers={"host": host})

    assert (response.status_code, response.content.decode()) == (400, NOTHING_HERE)


def test_a_claim_alone_opens_no_host(cast: Cast) -> None:
    give_domain(cast.acme, is_verified=False)

    assert at(OWN).get("/healthz").status_code == 400


def test_a_name_that_is_no_host_costs_no_query(cast: Cast, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert at("user@evil.example").get("/").status_code == 400


def test_what_a_proxy_says_of_the_host_is_not_read(domain: Domain, cast: Cast) -> None:
    said = {"x-forwarded-host": OWN, "forwarded": f"host={OWN}", "x-host": OWN, "x-original-host": OWN}

    response = Client().get("/documents/", headers=said)
    assert response.status_code == 404

    said = dict.fromkeys(said, "evil.example")
    mail_page = signed_in(cast.alice).get("/t/acme/", headers=said)
    assert mail_page.status_code == 200 and "evil.example" not in mail_page.content.decode()


@pytest.mark.parametrize("value", ["*", "localhost:8000", "http://localhost", "a b", "user@host"])
def test_hosts_that_would_answer_to_anything_are_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", value)

    with pytest.raises(env.BadSetting, match="ALLOWED_HOSTS"):
        env.hosts("ALLOWED_HOSTS", ())


def test_hosts_are_read_in_lower_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", "App.Example.com, .corbel.example,[::1]")

    assert env.hosts("ALLOWED_HOSTS", ()) == ["app.example.com", ".corbel.example", "[::1]"]


# --- The same over the wire, where a client can say more than Django's


@pytest.fixture
def wire(committed_cast: Cast) -> Iterator[int]:
    """The port of a real server."""
    give_domain(committed_cast.acme)
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        thread.join(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()
    connection.close()


def said_to(port: int, request: str) -> tuple[int, str]:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as caller:
        caller.sendall(request.replace("\n", "\r\n").encode())
        answer = b"".join(iter(lambda: caller.recv(65536), b"")).decode()
    return int(answer.split()[1]), answer.lower()


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        ("GET /healthz HTTP/1.1\nHost: localhost\n", 200),
        ("GET /healthz HTTP/1.1\nHost: chat.acme.example\n", 200),
        ("GET /healthz HTTP/1.1\nHost: evil.example\n", 400),
        ("GET /healthz HTTP/1.1\nHost:\n", 400),
        ("GET /healthz HTTP/1.1\nHost: localhost\nHost: evil.example\n", 400),
        ("GET /healthz HTTP/1.1\nHost: evil.example\nHost: localhost\n", 400),
        ("GET /healthz HTTP/1.1\nHost: chat.acme.example\nHost: localhost\n", 400),
        ("GET /healthz HTTP/1.0\n", 200),  # by the address that it reached: this machine's own
        ("GET http://localhost/healthz HTTP/1.1\nHost: evil.example\n", 400),
        ("GET http://evil.example/healthz HTTP/1.1\nHost: localhost\n", 200),
        ("GET /healthz HTTP/1.1\nHost: evil.example\nX-Forwarded-Host: localhost\n", 400),
    ],
)
def test_over_the_wire_the_host_header_alone_counts(wire: int, request_head: str, status: int) -> None:
    assert said_to(wire, f"{request_head}Connection: close\n\n")[0] == status


def test_an_absolute_target_names_nobody_else(wire: int) -> None:
    status, answer = said_to(
        wire, "GET http://evil.example/workspaces/ HTTP/1.1\nHost: localhost\nConnection: close\n\n"
    )

    assert status == 302 and "location: /accounts/login/" in answer and "evil" not in answer
