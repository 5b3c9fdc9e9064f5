"""When something breaks with a tenant's data in hand, neither the page nor the log says any of it.

The logs of every test of the sweep are searched by its `unchanged` fixture; these tests make them talk.
"""

import logging

import pytest
from django.conf import settings
from django.test import Client
from django.test.utils import override_settings
from django.urls import clear_url_caches

from apps.tenants.models import User
from tests.conftest import PASSWORD

from . import logs
from .attack import Visitor, undone
from .broken_urls import ERRORS
from .report import tried
from .world import World

WORDS = {"posted": "what the sender wrote: acme-secret-form"}


@pytest.fixture
def breaking(world: World) -> Visitor:
    """The owner's browser, where some pages break."""
    with override_settings(WORKSPACE_URLCONF="tests.sweep.broken_urls", DEBUG=False):
        clear_url_caches()
        yield Visitor(world, world.acme.owner, None)
    clear_url_caches()


@pytest.mark.parametrize("how", [*ERRORS, "database"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_page_that_breaks_shows_nothing_of_what_it_held(
    world: World, breaking: Visitor, how: str, method: str
) -> None:
    form = {**WORDS, "password": PASSWORD} if method == "POST" else None
    breaking.client.defaults["HTTP_X_SECRET"] = "acme-secret-header"

    answer = breaking.send(method, f"/t/acme/broken/{how}/", form=form)
    tried("broken pages", how)

    assert answer.status == {"suspicious": 400, "database": 500}.get(how, int(how) if how.isdigit() else 0)
    held = [f"{world.acme.mark}document", WORDS["posted"], PASSWORD, "acme-secret-header", "Traceback", "broken_urls"]
    assert [each for each in held if each in answer.text] == []


def test_the_view_of_these_tests_is_reached(breaking: Visitor) -> None:
    assert breaking.send("GET", "/t/acme/broken/not/").status == 200


def test_a_forged_form_is_refused_and_its_fields_are_not_repeated(world: World) -> None:
    client = Client(enforce_csrf_checks=True)
    client.cookies.load(world.cookies[world.acme.owner.pk])

    with undone():
        response = client.post("/t/acme/documents/upload/", {**WORDS, "password": PASSWORD})

    assert response.status_code == 403
    assert [each for each in (WORDS["posted"], PASSWORD) if each in response.content.decode()] == []


@pytest.mark.parametrize("password", [PASSWORD, "wrong " + PASSWORD])
def test_signing_in_logs_no_password(world: World, password: str) -> None:
    member: User = world.acme.people["member"]
    with undone():
        response = Client(raise_request_exception=False).post(
            "/accounts/login/", {"login": member.email, "password": password}
        )

    assert response.status_code == (302 if password == PASSWORD else 200)


def test_an_invitations_link_is_not_logged(world: World) -> None:
    for user in (*world.outsiders.values(), world.acme.owner):
        visitor = Visitor(world, user, None)
        for method in ("GET", "POST", "DELETE"):
            visitor.send(method, f"/invitations/{world.acme.token}/")
            visitor.send(method, f"/t/acme/invitations/{world.acme.token}/")


def test_what_a_log_must_not_hold_would_be_noticed(world: World) -> None:
    told = [world.acme.mark, PASSWORD, world.cookies[world.acme.owner.pk][settings.SESSION_COOKIE_NAME]]
    log = logging.getLogger("tests.sweep.aside")
    log.propagate = False
    for secret in told:
        with logs.watched(world, log) as found:
            log.warning("It says %s.", secret)
        assert len(found) == 1
