"""Signing in with GitHub and Google, against a server that speaks as they do."""

from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from allauth.socialaccount.models import SocialAccount
from allauth.socialaccount.providers.github.views import GitHubOAuth2Adapter
from allauth.socialaccount.providers.google.views import GoogleOAuth2Adapter
from django.core import mail
from django.http import HttpResponse
from django.test import Client
from pytest_django import Settings

from apps.tenants.models import User
from config.env import BadSetting
from config.settings import social_app
from tests.accounts.conftest import code, is_signed_in, log_in, prove, with_app
from tests.accounts.provider import CLIENT_ID, SECRET, Person, Provider
from tests.conftest import Cast, signed_in


@pytest.fixture(autouse=True)
def configured(settings: Settings, monkeypatch: pytest.MonkeyPatch, provider: Provider) -> None:
    """Both providers, at the addresses of ours: allauth reads theirs when it is imported."""
    app = {"APP": {"client_id": CLIENT_ID, "secret": SECRET}, "OAUTH_PKCE_ENABLED": True}
    settings.SOCIALACCOUNT_PROVIDERS = {"github": app, "google": app}
    for adapter, addresses in (
        (
            GitHubOAuth2Adapter,
            {
                "authorize_url": "/login/oauth/authorize",
                "access_token_url": "/login/oauth/access_token",
                "profile_url": "/api/v3/user",
                "emails_url": "/api/v3/user/emails",
            },
        ),
        (GoogleOAuth2Adapter, {"authorize_url": "/o/oauth2/v2/auth", "access_token_url": "/token"}),
    ):
        for name, path in addresses.items():
            monkeypatch.setattr(adapter, name, provider.url + path)
    provider.person = Person()


def go_there_and_back(client: Client, name: str = "github", query: str = "") -> HttpResponse:
    """Press the button, consent at the provider, and come back."""
    there = client.post(f"/accounts/{name}/login/?{query}")
    assert there.status_code == 302, there.content
    address = urlsplit(there.url)
    connection = HTTPConnection(address.netloc, timeout=5)
    connection.request("GET", f"{address.path}?{address.query}")
    back = urlsplit(connection.getresponse().getheader("Location"))
    connection.close()
    assert back.path == f"/accounts/{name}/login/callback/"
    return client.get(f"{back.path}?{back.query}")


@pytest.mark.parametrize("name", ["github", "google"])
def test_a_new_person_gets_an_account_and_is_led_to_a_workspace(cast: Cast, name: str) -> None:
    client = Client()

    response = go_there_and_back(client, name)

    dora = User.objects.get(email="dora@initech.example")
    assert response.url == "/workspaces/new/" and client.get(response.url).status_code == 200
    assert dora.name == "Dora Diver" and not dora.has_usable_password()
    assert dora.emailaddress_set.get().verified
    assert client.post("/workspaces/new/", {"name": "Initech", "slug": ""}).url == "/t/initech/"
    assert client.get("/t/initech/").status_code == 200


def test_an_invited_person_comes_back_to_the_invitation(cast: Cast) -> None:
    response = go_there_and_back(Client(), query="process=login&next=/invitations/abc/")

    assert response.url == "/invitations/abc/"


def test_who_came_back_is_the_same(cast: Cast) -> None:
    go_there_and_back(Client())

    client = Client()
    assert go_there_and_back(client).url == "/workspaces/" and is_signed_in(client)
    assert User.objects.filter(email="dora@initech.example").count() == 1


@pytest.mark.parametrize("name", ["github", "google"])
def test_an_address_alone_opens_nobodys_account(cast: Cast, provider: Provider, name: str) -> None:
    provider.person.email = cast.alice.email.upper()
    client = Client()

    response = go_there_and_back(client, name)

    assert response.status_code == 409 and "You have an account here" in response.content.decode()
    assert not is_signed_in(client) and not SocialAccount.objects.exists()
    cast.alice.refresh_from_db()
    assert cast.alice.has_usable_password()


def test_an_address_that_the_provider_did_not_confirm_opens_nothing_either(cast: Cast, provider: Provider) -> None:
    provider.person.email, provider.person.verified = cast.alice.email, False
    client = Client()

    assert go_there_and_back(client).url == "/accounts/3rdparty/signup/"

    response = client.post("/accounts/3rdparty/signup/", {"email": cast.alice.email})
    assert response.status_code in (200, 302) and not is_signed_in(client)
    assert not SocialAccount.objects.exists()


def test_who_owns_both_connects_them_and_either_works(cast: Cast, provider: Provider) -> None:
    provider.person.email = cast.alice.email
    alice = prove(log_in(cast.alice))

    assert go_there_and_back(alice, query="process=connect").url == "/accounts/3rdparty/"

    client = Client()
    go_there_and_back(client)
    assert client.get("/t/acme/").status_code == 200
    assert [message.subject for message in mail.outbox] == ["GitHub was connected"]
    account = SocialAccount.objects.get(user=cast.alice)
    assert alice.post("/accounts/3rdparty/", {"account": account.pk}).status_code == 302
    assert not SocialAccount.objects.exists()


def test_an_unconfirmed_account_connects_nothing(cast: Cast) -> None:
    """Who signed up with another's address must not keep a way in, once its owner has reset the password."""
    cast.alice.emailaddress_set.create(email=cast.alice.email, primary=True, verified=False)

    response = go_there_and_back(prove(log_in(cast.alice)), query="process=connect")

    assert response.status_code == 403 and "Confirm your address first" in response.content.decode()
    assert not SocialAccount.objects.exists()


def test_ones_own_second_factor_is_asked_for_after_the_provider_too(cast: Cast) -> None:
    SocialAccount.objects.create(user=cast.alice, provider="github", uid="4711")
    secret = with_app(cast.alice)
    client = Client()

    assert go_there_and_back(client).url == "/accounts/2fa/authenticate/" and not is_signed_in(client)
    assert client.post("/accounts/2fa/authenticate/", {"code": code(secret)}).status_code == 302
    assert is_signed_in(client)


def test_charlie_cannot_disconnect_alices_account(cast: Cast) -> None:
    account = SocialAccount.objects.create(user=cast.alice, provider="github", uid="1", extra_data={"login": "alice77"})
    charlie = prove(log_in(cast.charlie))

    response = charlie.post("/accounts/3rdparty/", {"account": account.pk})

    assert response.status_code == 200 and b"alice77" not in response.content
    assert SocialAccount.objects.filter(pk=account.pk).exists()


def test_who_cancels_is_told_so(cast: Cast, provider: Provider) -> None:
    provider.person.consents = False

    response = go_there_and_back(Client())

    assert response.url == "/accounts/3rdparty/login/cancelled/"
    assert "You cancelled it" in Client().get(response.url).content.decode()


def test_an_answer_that_nobody_asked_for_is_refused(cast: Cast) -> None:
    client = Client()

    response = client.get("/accounts/github/login/callback/?code=x&state=y")

    assert response.status_code == 401 and "That didn’t work" in response.content.decode()
    assert not is_signed_in(client)


def test_the_last_way_in_is_kept(cast: Cast) -> None:
    client = Client()
    go_there_and_back(client)
    account = SocialAccount.objects.get()

    client.post("/accounts/3rdparty/", {"account": account.pk})

    assert SocialAccount.objects.exists()


def test_buttons_are_there_for_what_is_configured(cast: Cast, settings: Settings) -> None:
    login = Client().get("/accounts/login/?next=/invitations/abc/").content.decode()
    assert "Continue with GitHub" in login and "Continue with Google" in login
    assert "/accounts/github/login/?process=login&amp;next=%2Finvitations%2Fabc%2F" in login
    assert "Connect GitHub" in signed_in(cast.alice).get("/accounts/3rdparty/").content.decode()

    settings.SOCIALACCOUNT_PROVIDERS = {"github": {}, "google": {}}
    for path in ("login/", "signup/"):
        assert "Continue with" not in Client().get(f"/accounts/{path}").content.decode()
    for name in ("github", "google"):
        assert Client().post(f"/accounts/{name}/login/").status_code == 404
        assert Client().get(f"/accounts/{name}/login/callback/?code=x&state=y").status_code == 404
    assert "isn’t configured" in signed_in(cast.alice).get("/accounts/3rdparty/").content.decode()


def test_a_link_presses_no_button(cast: Cast) -> None:
    response = Client().get("/accounts/github/login/")

    assert response.status_code == 200 and "Continue with GitHub?" in response.content.decode()


def test_half_a_configuration_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_CLIENT_ID", raising=False)
    monkeypatch.delenv("GOOGLE_CLIENT_SECRET", raising=False)
    assert "APP" not in social_app("GOOGLE")

    monkeypatch.setenv("GOOGLE_CLIENT_ID", CLIENT_ID)
    with pytest.raises(BadSetting, match="GOOGLE_CLIENT_SECRET is not set, and GOOGLE_CLIENT_ID is"):
        social_app("GOOGLE")

    monkeypatch.setenv("GOOGLE_CLIENT_SECRET", SECRET)
    assert social_app("GOOGLE")["APP"] == {"client_id": CLIENT_ID, "secret": SECRET}
