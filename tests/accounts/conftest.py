import time
from collections.abc import Iterator

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.core.cache import cache
from django.test import Client

from apps.tenants.models import User
from tests.accounts.provider import CLIENT_ID, SECRET, Provider
from tests.conftest import PASSWORD

STEP_S = 30


@pytest.fixture(autouse=True)
def nothing_counted() -> Iterator[None]:
    """Rate limits live in Redis, which no test's rollback empties."""
    cache.clear()
    yield
    cache.clear()


@pytest.fixture(scope="package", autouse=True)
def provider() -> Iterator[Provider]:
    """A GitHub of our own."""
    running = Provider()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GITHUB_URL", running.url)
        patch.setenv("GITHUB_CLIENT_ID", CLIENT_ID)
        patch.setenv("GITHUB_CLIENT_SECRET", SECRET)
        yield running
    running.close()


def with_app(user: User) -> str:
    """Give `user` an authenticator app. Returns its secret."""
    secret = generate_totp_secret()
    TOTP.activate(user, secret)
    return secret


def code(secret: str, *, steps: int = 0) -> str:
    """The code that the app shows now, or `steps` of half a minute later."""
    return format_hotp_value(hotp_value(secret, int(time.time()) // STEP_S + steps))


def log_in(user: User, client: Client | None = None, **more: str) -> Client:
    """The first step: e-mail address and password, through the form."""
    client = client or Client()
    response = client.post("/accounts/login/", {"login": user.email, "password": PASSWORD, **more})
    assert response.status_code == 302, response.content
    return client


def is_signed_in(client: Client) -> bool:
    return client.get("/accounts/").status_code == 200


def prove(client: Client) -> Client:
    """Give the password once more, as a page that changes the account asks for."""
    assert client.post("/accounts/reauthenticate/", {"password": PASSWORD}).status_code == 302
    return client


def factors(user: User) -> list[str]:
    return sorted(Authenticator.objects.filter(user=user).values_list("type", flat=True))
