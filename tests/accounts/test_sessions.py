"""Where one is signed in, and ending it."""

import pytest
from allauth.usersessions.models import UserSession
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from apps.tenants.sessions import device
from tests.accounts.conftest import is_signed_in, log_in
from tests.conftest import Cast

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1 Version/19.0 Mobile/15E1 Safari/604.1"
)
EDGE = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/139.0 Safari/537.36 Edg/139.0"


def on(user_agent: str, address: str = "198.51.100.7") -> Client:
    return Client(headers={"User-Agent": user_agent}, REMOTE_ADDR=address)


def test_sessions_are_listed_and_the_others_ended(cast: Cast) -> None:
    here, there = log_in(cast.alice, on(FIREFOX)), log_in(cast.alice, on(SAFARI, "203.0.113.5"))

    page = here.get("/accounts/sessions/").content.decode()
    assert "Firefox on Linux" in page and "Safari on iPhone" in page
    assert "198.51.100.7" in page and "203.0.113.5" in page

    here.post("/accounts/sessions/")
    assert is_signed_in(here) and not is_signed_in(there)
    assert UserSession.objects.filter(user=cast.alice).count() == 1


def test_one_session_is_ended(cast: Cast) -> None:
    here, lost, other = (log_in(cast.alice, on(FIREFOX)) for _ in range(3))
    row = UserSession.objects.get(session_key=lost.session.session_key)

    assert here.post(f"/accounts/sessions/{row.pk}/end/").url == "/accounts/sessions/"

    assert [is_signed_in(client) for client in (here, lost, other)] == [True, False, True]


def test_charlie_cannot_see_or_end_alices_sessions(cast: Cast) -> None:
    alice, charlie = log_in(cast.alice, on(SAFARI, "203.0.113.5")), log_in(cast.charlie, on(FIREFOX))
    row = UserSession.objects.get(user=cast.alice)

    assert charlie.post(f"/accounts/sessions/{row.pk}/end/").status_code == 404
    charlie.post("/accounts/sessions/")

    assert "203.0.113.5" not in charlie.get("/accounts/sessions/").content.decode()
    assert is_signed_in(alice)
    assert Client().post(f"/accounts/sessions/{row.pk}/end/").status_code == 302 and is_signed_in(alice)


def test_a_new_password_ends_the_others(cast: Cast) -> None:
    here, there = log_in(cast.alice), log_in(cast.alice)

    response = here.post(
        "/accounts/password/change/",
        {"oldpassword": "correct horse battery", "password1": "another long one", "password2": "another long one"},
    )

    assert response.url == "/accounts/"
    assert is_signed_in(here) and not is_signed_in(there)


def test_use_is_noted_with_the_address_but_not_at_every_request(cast: Cast) -> None:
    alice = log_in(cast.alice, on(FIREFOX))

    def seen() -> tuple[object, str]:
        return UserSession.objects.values_list("last_seen_at", "ip").get(user=cast.alice)

    alice.get("/workspaces/")
    first = seen()
    alice.get("/workspaces/")
    assert seen() == first

    alice.get("/workspaces/", REMOTE_ADDR="203.0.113.9")
    moved = seen()
    assert moved[0] > first[0] and moved[1] == "203.0.113.9"

    cache.clear()  # as after five minutes
    alice.get("/workspaces/", REMOTE_ADDR="203.0.113.9")
    assert seen()[0] > moved[0]


@pytest.mark.parametrize(
    ("is_behind_proxy", "address"), [(False, "198.51.100.7"), (True, "192.0.2.44")], ids=["open", "behind a proxy"]
)
def test_forwarded_addresses_count_only_behind_our_proxy(
    cast: Cast, settings: Settings, is_behind_proxy: bool, address: str
) -> None:
    settings.BEHIND_PROXY = is_behind_proxy
    headers = {
        "User-Agent": FIREFOX,
        "X-Forwarded-For": "203.0.113.66, 192.0.2.44",
    }  # the first is the client's own word

    log_in(cast.alice, Client(headers=headers, REMOTE_ADDR="198.51.100.7"))

    assert UserSession.objects.get(user=cast.alice).ip == address


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (FIREFOX, "Firefox on Linux"),
        (SAFARI, "Safari on iPhone"),
        (EDGE, "Edge on Windows"),
        ("curl/8.15.0", "curl"),
        ("", "Unknown"),
    ],
)
def test_devices_have_names(user_agent: str, name: str) -> None:
    assert device(user_agent) == name
