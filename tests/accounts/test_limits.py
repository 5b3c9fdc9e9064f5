"""Limits of what can be tried, and that they don't shut the door when Redis is away."""

import time
from collections.abc import Iterator

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache, caches
from django.test import Client
from pytest_django import Settings
from redis import Redis

from tests.accounts.conftest import code, is_signed_in, log_in, with_app
from tests.conftest import PASSWORD, Cast

NOBODY_LISTENS = "redis://127.0.0.1:1/0"


@pytest.fixture
def no_redis(settings: Settings) -> Iterator[None]:
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": [NOBODY_LISTENS]}}
    cache.get("anything")  # notices that nobody answers
    caches["default"]._cache._memory.clear()
    yield
    caches["default"]._cache._memory.clear()


def guess(email: str, password: str = "a guess", **more: str) -> tuple[int, str]:
    response = Client(**more).post("/accounts/login/", {"login": email, "password": password})
    return response.status_code, response.content.decode()


def test_five_wrong_passwords_shut_the_account_for_a_while(cast: Cast) -> None:
    for _ in range(5):
        status, page = guess(cast.alice.email)
        assert status == 200 and "don’t belong together" in page

    status, page = guess(cast.alice.email, PASSWORD)

    assert status == 429
    assert "Wait five minutes and try again" in page and "/accounts/password/reset/" in page
    assert guess(cast.bob.email, PASSWORD)[0] == 302


def test_another_of_our_names_is_no_new_start(cast: Cast) -> None:
    hosts = ["testserver", "localhost", "127.0.0.1"] * 2

    assert [guess(cast.alice.email, SERVER_NAME=host)[0] for host in hosts] == [200] * 5 + [429]


def test_who_guesses_at_many_accounts_is_stopped_too(cast: Cast) -> None:
    statuses = [guess(f"user{number}@acme.example")[0] for number in range(11)]

    assert statuses == [200] * 10 + [429]
    assert guess(cast.alice.email, PASSWORD, REMOTE_ADDR="203.0.113.9")[0] == 302


def test_signing_in_is_limited_by_address_whatever_the_password(cast: Cast) -> None:
    assert {guess(cast.alice.email, PASSWORD)[0] for _ in range(30)} == {302}

    assert guess(cast.alice.email, PASSWORD)[0] == 429
    assert Client().get("/accounts/login/").status_code == 200


def test_reset_mails_to_one_address_are_limited(cast: Cast, mailoutbox: list[object]) -> None:
    statuses = [
        Client(REMOTE_ADDR=f"203.0.113.{number}")
        .post("/accounts/password/reset/", {"email": cast.alice.email})
        .status_code
        for number in range(6)
    ]

    assert statuses == [302] * 5 + [429]
    assert len(mailoutbox) == 5


def test_sign_up_is_limited(cast: Cast) -> None:
    form = {"email": "dora@initech.example", "password1": "short", "workspace_name": "Initech"}
    statuses = [Client().post("/accounts/signup/", form).status_code for _ in range(21)]

    assert statuses == [200] * 20 + [429]


@pytest.mark.usefixtures("no_redis")
def test_without_redis_people_sign_in_and_guesses_are_still_limited(cast: Cast) -> None:
    began = time.monotonic()

    assert is_signed_in(log_in(cast.alice))
    assert [guess(cast.bob.email)[0] for _ in range(6)] == [200] * 5 + [429]
    assert time.monotonic() - began < 3


@pytest.mark.usefixtures("no_redis")
def test_without_redis_a_code_still_works_once(cast: Cast) -> None:
    secret = with_app(cast.alice)
    used = code(secret)
    assert log_in(cast.alice).post("/accounts/2fa/authenticate/", {"code": used}).status_code == 302

    caches["default"]._cache._memory.clear()  # another process knows nothing of it
    again = log_in(cast.alice)

    assert again.post("/accounts/2fa/authenticate/", {"code": used}).status_code == 200 and not is_signed_in(again)


def test_clearing_the_cache_leaves_the_rest_of_redis_alone(db: None) -> None:
    redis = Redis.from_url(django_settings.REDIS_URL)
    redis.set("task", "waiting", ex=60)
    cache.set("limit", 1)

    cache.clear()

    assert cache.get("limit") is None and redis.get("task") == b"waiting"
    redis.delete("task")
    redis.close()


def test_the_cache_behaves_as_django_says(db: None) -> None:
    cache.set_many({"one": 1, "two": [2]}, 60)
    assert cache.get_many(["one", "two", "three"]) == {"one": 1, "two": [2]}
    assert cache.incr("one") == 2 and not cache.add("one", 5) and cache.touch("two", 30)
    cache.delete_many(["one"])
    assert cache.get("one", "gone") == "gone" and cache.delete("two") and "two" not in cache
