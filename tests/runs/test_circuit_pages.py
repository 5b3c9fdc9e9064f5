"""What a workspace and the platform's operators see of the circuits, and what they don't."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import redis
from django.conf import settings as django_settings
from django.contrib.auth.models import Permission
from redis.asyncio import Redis

from apps.runs.gateway import circuits
from apps.runs.gateway.breaker import RedisCircuits, Verdict, circuit_key
from apps.tenants.context import tenant_context
from apps.tenants.models import DataKey, ProviderKey, Tenant, User
from tests.conftest import Cast, signed_in

PAGE = "/t/acme/settings/models/state/"
OPERATORS_PAGE = "/platform/circuits/"
CLOSE = "/platform/circuits/close/"
GPT = "gpt-of-the-tests"


@pytest.fixture(autouse=True)
def server(settings: Any) -> Iterator[redis.Redis]:
    settings.OPENAI_API_KEY, settings.OPENAI_MODEL = "none", GPT
    with redis.Redis.from_url(django_settings.REDIS_URL) as client:
        yield client
        if names := list(client.scan_iter("*circuit:*")):
            client.delete(*names)


@pytest.fixture
def operator(db: None) -> User:
    return User.objects.create_user("olga@platform.example", name="Olga", is_staff=True, is_superuser=True)


def end(name: str, *verdicts: Verdict) -> None:
    async def calls() -> None:
        async with Redis.from_url(django_settings.REDIS_URL) as client:
            breaker = RedisCircuits(client)
            permits = [await breaker.enter(name) for _ in verdicts]
            for permit, verdict in zip(permits, verdicts, strict=True):
                assert permit
                await breaker.leave(permit, verdict)

    asyncio.run(calls())


def own_account(tenant: Tenant, model: str) -> str:
    """The circuit of a key that the workspace brought."""
    with tenant_context(tenant):
        key = ProviderKey.objects.create(
            name=f"{tenant.slug}-own",
            sealed=b"sealed",
            data_key=DataKey.objects.create(wrapped=b"wrapped", master="test"),
            last_four="1234",
            model_names=[model],
        )
    return circuit_key(key.name, model, tenant.pk, key.pk)


def page(user: User, path: str = PAGE) -> str:
    answer = signed_in(user).get(path)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_models_that_nobody_called_are_answering(cast: Cast) -> None:
    text = page(cast.alice)

    assert (GPT in text, text.count("Answering"), "every 2s" in text) == (True, 1, False)


def test_a_workspace_sees_that_the_platforms_model_is_left_alone_and_no_figures(cast: Cast) -> None:
    end(circuit_key("openai", GPT), *["failed"] * 12)

    text = page(cast.alice)

    assert ("Left alone" in text, "every 2s" in text) == (True, True)
    assert "of 10" not in text
    assert "Too many" not in text


def test_a_workspace_sees_what_is_wrong_with_its_own_account_and_no_other(cast: Cast) -> None:
    own, theirs = own_account(cast.acme, "acme-model"), own_account(cast.globex, "globex-model")
    end(own, "ok", "failed")
    end(theirs, "key")

    acme, globex = page(cast.alice), page(cast.charlie, PAGE.replace("acme", "globex"))

    assert ("1 of 2 calls failed" in acme, "acme-own, your own account" in acme) == (True, True)
    assert ("Left alone" in acme, "globex" in acme) == (False, False)
    assert ("Left alone" in globex, "refused the key" in globex, "acme-model" in globex) == (True, True, False)


def test_only_who_may_change_settings_sees_the_states(cast: Cast) -> None:
    assert signed_in(cast.bob).get(PAGE).status_code == 403
    assert signed_in(cast.charlie).get(PAGE).status_code == 404


def test_without_a_provider_the_page_says_that_nothing_can_be_away(cast: Cast, settings: Any) -> None:
    settings.OPENAI_API_KEY = ""

    assert "No provider is set up" in page(cast.alice)


def test_without_a_model_the_page_says_what_to_do(cast: Cast) -> None:
    with tenant_context(cast.acme):
        Tenant.objects.filter(pk=cast.acme.pk).update(allowed_models=["gone"])

    assert "There is no model that Acme may use" in page(cast.alice)


def test_while_redis_is_away_both_pages_say_so(cast: Cast, operator: User, settings: Any) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        settings.REDIS_URL = f"redis://127.0.0.1:{nobody.getsockname()[1]}"

        assert "Nobody can say just now" in page(cast.alice)
        assert "Redis doesn’t answer" in page(operator, OPERATORS_PAGE)
        closing = signed_in(operator).post(CLOSE, {"name": circuit_key("openai", GPT)}, follow=True)
        assert "nothing was changed" in closing.content.decode()


@pytest.mark.django_db(databases=["default", "platform"], transaction=True)
def test_operators_see_every_circuit_with_its_workspace(committed_cast: Cast, operator: User) -> None:
    end(circuit_key("openai", GPT), *["failed"] * 12)
    end(own_account(committed_cast.acme, "acme-model"), "key")
    end(circuit_key("gone", "some-model", UUID(int=7), UUID(int=8)), "ok")

    text = page(operator, OPERATORS_PAGE)

    shown = (GPT, "10 of 10", "Acme", "acme-model", "refused the key", "removed")
    assert [word for word in shown if word not in text] == []
    assert text.count("Close now") == 2


def test_operators_see_models_that_nobody_called(operator: User) -> None:
    text = page(operator, OPERATORS_PAGE)

    assert (GPT in text, "no calls" in text, "Close now" in text) == (True, True, False)


def test_operators_close_a_circuit(operator: User, server: redis.Redis) -> None:
    name = circuit_key("openai", GPT)
    end(name, *["failed"] * 12)
    client = signed_in(operator)

    closed = client.post(CLOSE, {"name": name}, follow=True).content.decode()
    again = client.post(CLOSE, {"name": name}, follow=True).content.decode()
    wrong = client.post(CLOSE, {"name": "celery"}, follow=True).content.decode()

    assert circuits.read(server, [name])[0].state == "closed"
    assert ("It is closed." in closed, "closed already" in again, "no such circuit" in wrong) == (True, True, True)


def test_only_staff_with_the_permission_see_and_close(cast: Cast, server: redis.Redis) -> None:
    name = circuit_key("openai", GPT)
    end(name, *["failed"] * 12)
    reader = User.objects.create_user("rita@platform.example", name="Rita", is_staff=True)
    idle = User.objects.create_user("ivan@platform.example", name="Ivan", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_modelroute"))

    answers = [
        [signed_in(user).get(OPERATORS_PAGE).status_code, signed_in(user).post(CLOSE, {"name": name}).status_code]
        for user in (cast.alice, idle, reader)
    ]

    assert answers == [[302, 302], [403, 403], [200, 403]]
    assert circuits.read(server, [name])[0].state == "open"
