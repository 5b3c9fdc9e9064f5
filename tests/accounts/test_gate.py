"""A workspace that asks for a second factor, and what gets through."""

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client
from django.utils import timezone

from apps.tenants.context import tenant_context
from apps.tenants.models import Domain, Tenant
from apps.tenants.second_factor import session_has_second_factor
from apps.tenants.sockets import find_membership
from tests.accounts.conftest import code, log_in, prove, with_app
from tests.conftest import Cast, signed_in

SIGN_IN, PROVE = "/accounts/2fa/authenticate/", "/accounts/2fa/reauthenticate/"
ASKED = "/accounts/second-factor/?next=%2Ft%2Facme%2Fdocuments%2F%3Fq%3D1"


def ask_for_one(tenant: Tenant) -> None:
    with tenant_context(tenant):
        Tenant.objects.filter(pk=tenant.pk).update(mfa_required=True)


def store_of(client: Client) -> SessionStore:
    """The session as a WebSocket reads it: from the cookie's key."""
    return SessionStore(client.cookies["sessionid"].value)


def test_who_has_none_is_led_to_set_one_up(cast: Cast) -> None:
    ask_for_one(cast.acme)
    bob = signed_in(cast.bob)

    assert bob.get("/t/acme/documents/?q=1").url == ASKED

    page = bob.get(ASKED).content.decode()
    assert "Acme asks for a second factor" in page and "Set up an authenticator app" in page
    assert bob.get("/workspaces/?all").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_setting_one_up_opens_the_workspace_and_leads_back(committed_cast: Cast) -> None:
    ask_for_one(committed_cast.acme)
    bob = prove(log_in(committed_cast.bob))
    bob.get(ASKED)

    bob.get("/accounts/2fa/totp/activate/")
    secret = bob.session["mfa.totp.secret"]
    codes = bob.post("/accounts/2fa/totp/activate/", {"code": code(secret)}, follow=True)

    assert 'href="/accounts/second-factor/"' in codes.content.decode()
    assert bob.get("/accounts/second-factor/").url == "/t/acme/documents/?q=1"
    assert bob.get("/t/acme/documents/?q=1").status_code == 200
    assert 'href="/accounts/second-factor/"' not in bob.get("/accounts/2fa/").content.decode()


def test_a_session_from_before_shows_its_factor_and_comes_back(cast: Cast) -> None:
    ask_for_one(cast.acme)
    bob = signed_in(cast.bob)
    secret = with_app(cast.bob)

    page = bob.get(bob.get("/t/acme/documents/?q=1").url).content.decode()
    assert f'href="{PROVE}?next=/accounts/second-factor/"' in page

    assert bob.post(PROVE, {"code": code(secret), "next": "/accounts/second-factor/"}).url == "/accounts/second-factor/"
    assert bob.get("/accounts/second-factor/").url == "/t/acme/documents/?q=1"
    assert bob.get("/t/acme/documents/?q=1").status_code == 200


def test_signing_in_with_a_code_is_enough_until_the_factor_is_removed(cast: Cast) -> None:
    ask_for_one(cast.acme)
    secret = with_app(cast.bob)
    bob = log_in(cast.bob)
    bob.post(SIGN_IN, {"code": code(secret)})
    assert bob.get("/t/acme/").status_code == 200 and session_has_second_factor(store_of(bob))

    Authenticator.objects.filter(user=cast.bob).delete()

    assert bob.get("/t/acme/").status_code == 302 and not session_has_second_factor(store_of(bob))


def test_scripts_and_sockets_are_refused(cast: Cast) -> None:
    bob = signed_in(cast.bob)
    assert find_membership(store_of(bob).session_key, "acme") is not None
    ask_for_one(cast.acme)

    for headers in (
        {"HX-Request": "true"},
        {"Accept": "application/json"},
        {"Sec-Fetch-Mode": "cors"},
    ):
        assert bob.get("/t/acme/documents/", headers=headers).status_code == 403
    assert bob.post("/t/acme/documents/", "{}", content_type="application/json").status_code == 403
    assert find_membership(store_of(bob).session_key, "acme") is None


def test_after_a_form_one_comes_back_to_the_start(cast: Cast) -> None:
    ask_for_one(cast.acme)

    assert signed_in(cast.bob).post("/t/acme/documents/").url == "/accounts/second-factor/?next=%2Ft%2Facme%2F"


def test_a_workspace_that_asks_for_none_lets_everybody_in(cast: Cast) -> None:
    ask_for_one(cast.globex)

    assert signed_in(cast.bob).get("/t/acme/").status_code == 200
    assert signed_in(cast.charlie).get("/t/globex/").status_code == 302


def test_an_outsider_learns_nothing_of_what_it_asks_for(cast: Cast) -> None:
    ask_for_one(cast.acme)
    charlie = signed_in(cast.charlie)

    assert charlie.get("/t/acme/").status_code == 404
    assert "Acme" not in charlie.get("/accounts/second-factor/?next=/t/acme/").content.decode()


def test_it_leads_to_no_other_site(cast: Cast) -> None:
    bob = signed_in(cast.bob)
    secret = with_app(cast.bob)
    bob.get("/accounts/second-factor/?next=https://evil.example/")
    bob.post(PROVE, {"code": code(secret)})

    assert bob.get("/accounts/second-factor/").url == "/accounts/"


def test_a_workspaces_own_domain_asks_too(cast: Cast) -> None:
    with tenant_context(cast.acme):
        Domain.objects.create(domain="chat.acme.example", verified_at=timezone.now())
    bob = log_in(cast.bob, Client(SERVER_NAME="chat.acme.example"))
    ask_for_one(cast.acme)
    secret = with_app(cast.bob)

    page = bob.get(bob.get("/documents/").url).content.decode()
    assert f'href="{PROVE}?next=/accounts/second-factor/"' in page
    bob.post(PROVE, {"code": code(secret)})

    assert bob.get("/accounts/second-factor/").url == "/documents/" and bob.get("/documents/").status_code == 200


def test_passkeys_and_providers_are_offered_on_the_main_host_only(cast: Cast) -> None:
    with tenant_context(cast.acme):
        Domain.objects.create(domain="chat.acme.example", verified_at=timezone.now())

    assert "Sign in with a passkey" in Client().get("/accounts/login/").content.decode()
    assert "passkey" not in Client(SERVER_NAME="chat.acme.example").get("/accounts/login/").content.decode()


def test_the_records_of_somebody_else_in_the_same_session_count_for_nobody(cast: Cast) -> None:
    secret = with_app(cast.alice)
    browser = log_in(cast.alice)
    browser.post(SIGN_IN, {"code": code(secret)})
    records = {key: value for key, value in browser.session.items() if key.startswith("account_authentication")}
    with_app(cast.bob)
    browser.force_login(cast.bob)
    session = browser.session
    session.update(records)
    session.save()

    assert not session_has_second_factor(store_of(browser))
