"""Authenticator apps, recovery codes, and what a session remembers of them."""

import re

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from django.core import mail
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from tests.accounts.conftest import code, factors, is_signed_in, log_in, prove, with_app
from tests.conftest import PASSWORD, Cast, signed_in

SIGN_IN, PROVE = "/accounts/2fa/authenticate/", "/accounts/2fa/reauthenticate/"


@pytest.mark.django_db(transaction=True)
def test_an_app_is_set_up_with_a_code_and_recovery_codes_are_made(committed_cast: Cast) -> None:
    alice = prove(log_in(committed_cast.alice))

    page = alice.get("/accounts/2fa/totp/activate/").content.decode()
    secret = re.search(r"select-all[^>]*>\s*([A-Z2-7]{32})", page)[1]
    wrong = alice.post("/accounts/2fa/totp/activate/", {"code": "000000"})
    right = alice.post("/accounts/2fa/totp/activate/", {"code": code(secret)})

    assert 'src="data:image/svg+xml;base64,' in page
    assert wrong.status_code == 200 and "That code isn’t right" in wrong.content.decode()
    assert right.url == "/accounts/2fa/recovery-codes/"
    assert factors(committed_cast.alice) == ["recovery_codes", "totp"]
    assert len(re.findall(r"<li[^>]*>\d{8}</li>", alice.get(right.url).content.decode())) == 10
    assert [mail.subject for mail in mail.outbox] == ["An authenticator app was set up"]


def test_setting_one_up_needs_the_password_again(cast: Cast) -> None:
    response = signed_in(cast.alice).get("/accounts/2fa/totp/activate/")

    assert response.url.startswith("/accounts/reauthenticate/?next=")


def test_an_unconfirmed_address_sets_up_no_factor(cast: Cast) -> None:
    """It may be somebody else's, who could then never get in."""
    cast.alice.emailaddress_set.create(email=cast.alice.email, primary=True, verified=False)
    alice = prove(log_in(cast.alice))

    page = alice.get("/accounts/2fa/totp/activate/", follow=True)

    assert page.redirect_chain[-1][0] == "/accounts/2fa/"
    assert "Confirm your e-mail addresses first" in page.content.decode()


def test_the_password_alone_does_not_sign_in(cast: Cast) -> None:
    secret = with_app(cast.alice)
    client = log_in(cast.alice, next="/t/acme/documents/")
    assert not is_signed_in(client)

    wrong = client.post(SIGN_IN, {"code": "000000"})
    assert wrong.status_code == 200 and not is_signed_in(client)

    right = client.post(SIGN_IN, {"code": code(secret)})
    assert right.url == "/t/acme/documents/" and is_signed_in(client)


@pytest.mark.parametrize("steps", [-1, 0, 1])
def test_a_code_works_once_however_the_clocks_differ(cast: Cast, steps: int) -> None:
    secret = with_app(cast.alice)
    used = code(secret, steps=steps)
    assert log_in(cast.alice).post(SIGN_IN, {"code": used}).status_code == 302

    cache.clear()  # what allauth remembers of used codes, and forgets before they are void
    again = log_in(cast.alice)
    assert again.post(SIGN_IN, {"code": used}).status_code == 200 and not is_signed_in(again)
    older = log_in(cast.alice)
    assert older.post(SIGN_IN, {"code": code(secret, steps=steps - 1)}).status_code == 200 and not is_signed_in(older)


def test_a_recovery_code_works_once(cast: Cast) -> None:
    with_app(cast.alice)
    first, second, *_ = RecoveryCodes.activate(cast.alice).get_unused_codes()

    client = log_in(cast.alice)
    assert client.post(SIGN_IN, {"code": first}).status_code == 302 and is_signed_in(client)
    again = log_in(cast.alice)
    assert again.post(SIGN_IN, {"code": first}).status_code == 200 and not is_signed_in(again)
    assert again.post(SIGN_IN, {"code": second}).status_code == 302 and is_signed_in(again)


def test_codes_cannot_be_guessed_at_leisure(cast: Cast) -> None:
    secret = with_app(cast.alice)
    client = log_in(cast.alice)
    for _ in range(5):
        client.post(SIGN_IN, {"code": "000000"})

    response = client.post(SIGN_IN, {"code": code(secret)})

    assert "wrong too often" in response.content.decode() and not is_signed_in(client)


def test_codes_of_another_users_app_do_not_fit(cast: Cast) -> None:
    with_app(cast.alice)
    charlies = with_app(cast.charlie)
    client = log_in(cast.alice)

    assert client.post(SIGN_IN, {"code": code(charlies)}).status_code == 200
    assert not is_signed_in(client)


def test_who_has_a_factor_proves_it_by_that_and_not_by_the_password(cast: Cast) -> None:
    alice = signed_in(cast.alice)
    secret = with_app(cast.alice)

    asked = alice.get("/accounts/2fa/webauthn/add/")
    by_password = alice.post("/accounts/reauthenticate/", {"password": PASSWORD})
    assert asked.url.startswith(PROVE) and by_password.url.startswith(PROVE)
    assert alice.get("/accounts/2fa/webauthn/add/").status_code == 302

    assert alice.post(PROVE, {"code": code(secret)}).status_code == 302
    assert alice.get("/accounts/2fa/webauthn/add/").status_code == 200


def test_recovery_codes_are_shown_downloaded_and_made_anew(cast: Cast) -> None:
    secret = with_app(cast.alice)
    before = RecoveryCodes.activate(cast.alice).get_unused_codes()
    alice = log_in(cast.alice)
    alice.post(SIGN_IN, {"code": code(secret)})
    assert alice.get("/accounts/2fa/recovery-codes/").url.startswith(PROVE)
    alice.post(PROVE, {"code": code(secret, steps=1)})

    download = alice.get("/accounts/2fa/recovery-codes/download/")
    assert download["Content-Type"] == "text/plain" and "attachment" in download["Content-Disposition"]
    assert re.findall(r"^\d{8}$", download.content.decode(), re.MULTILINE) == before

    alice.post("/accounts/2fa/recovery-codes/generate/")
    after = RecoveryCodes.activate(cast.alice).get_unused_codes()
    assert len(after) == 10 and not set(after) & set(before)


def test_an_app_is_removed_and_its_recovery_codes_with_it(cast: Cast) -> None:
    secret = with_app(cast.alice)
    RecoveryCodes.activate(cast.alice)
    alice = log_in(cast.alice)
    alice.post(SIGN_IN, {"code": code(secret)})
    alice.post(PROVE, {"code": code(secret, steps=1)})

    assert alice.get("/accounts/2fa/totp/deactivate/").status_code == 200
    alice.post("/accounts/2fa/totp/deactivate/")

    assert factors(cast.alice) == []
    assert [message.subject for message in mail.outbox] == ["The authenticator app was removed"]
    assert is_signed_in(log_in(cast.alice))


def test_secrets_are_encrypted_and_survive_a_new_secret_key(cast: Cast, settings: Settings) -> None:
    secret = with_app(cast.alice)
    assert secret not in str(Authenticator.objects.get(user=cast.alice).data)

    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another key"
    client = log_in(cast.alice)
    assert client.post(SIGN_IN, {"code": code(secret)}).status_code == 302 and is_signed_in(client)


def test_a_secret_that_no_key_opens_fits_no_code(cast: Cast, settings: Settings) -> None:
    secret = with_app(cast.alice)
    settings.SECRET_KEY = "another key"
    client = log_in(cast.alice)

    assert client.post(SIGN_IN, {"code": code(secret)}).status_code == 200 and not is_signed_in(client)


def test_charlie_cannot_touch_alices_factors(cast: Cast) -> None:
    with_app(cast.alice)
    passkey = Authenticator.objects.create(user=cast.alice, type="webauthn", data={"name": "Mine", "credential": {}})
    charlie = prove(log_in(cast.charlie))

    for path in (f"webauthn/keys/{passkey.pk}/remove/", f"webauthn/keys/{passkey.pk}/edit/"):
        assert charlie.get(f"/accounts/2fa/{path}").status_code == 404
        assert charlie.post(f"/accounts/2fa/{path}", {"name": "Charlie's"}).status_code == 404
    for path in ("totp/deactivate/", "recovery-codes/", "recovery-codes/download/"):
        assert charlie.get(f"/accounts/2fa/{path}").status_code == 404
        assert charlie.post(f"/accounts/2fa/{path}").status_code in (404, 405)

    passkey.refresh_from_db()
    assert passkey.data["name"] == "Mine" and factors(cast.alice) == ["totp", "webauthn"]
    assert "Mine" not in charlie.get("/accounts/2fa/").content.decode()


@pytest.mark.parametrize("path", ["", "email/", "2fa/", "sessions/", "3rdparty/", "second-factor/", "password/change/"])
def test_account_pages_are_for_who_is_signed_in(cast: Cast, path: str) -> None:
    assert Client().get(f"/accounts/{path}").url == f"/accounts/login/?next=/accounts/{path}"
    assert signed_in(cast.alice).get(f"/accounts/{path}").status_code == 200
