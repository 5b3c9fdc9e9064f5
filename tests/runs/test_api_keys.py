"""API keys, as owners and admins make and revoke them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.http import HttpResponse

from apps.runs.models import Run
from apps.tenants import api_keys
from apps.tenants.context import tenant_context, user_context
from apps.tenants.deeds import plain_sentence
from apps.tenants.members import Refused
from apps.tenants.models import ApiKey, AuditEvent, Membership
from tests.conftest import Cast, signed_in

URL = "/t/acme/settings/api-keys/"


def shown_token(page: HttpResponse) -> str:
    (token,) = re.findall(r'value="(corbel_[^"]+)"', page.content.decode())
    return token


def test_a_key_is_shown_once(cast: Cast) -> None:
    alice = signed_in(cast.alice)
    page = alice.post(URL, {"name": "Nightly import", "last_day": "2099-12-31"})
    token = shown_token(page)

    assert re.fullmatch(rf"corbel_{cast.acme.id.hex}_[A-Za-z0-9_-]{{43}}", token)
    assert "no-store" in page["Cache-Control"]
    with tenant_context(cast.acme):
        key = ApiKey.objects.get()
        made = AuditEvent.objects.get(action="api_key.created")
    assert (key.name, key.last_four, key.created_by) == ("Nightly import", token[-4:], cast.alice)
    assert key.expires_at == datetime(2100, 1, 1, tzinfo=UTC)
    assert plain_sentence(made) == f"made the API key Nightly import, which ends with {token[-4:]}"
    assert api_keys.find(token) == key
    later = alice.get(URL).content.decode()
    assert "Nightly import" in later and f"…{token[-4:]}" in later and "never used" in later
    assert "http://testserver/t/acme/api/v1" in later
    for kept in (later, str(made.details), repr(vars(key))):
        assert token not in kept and token.rpartition("_")[2] not in kept


def test_the_list_says_when_a_key_was_used_and_what_has_ended(cast: Cast) -> None:
    with tenant_context(cast.acme), user_context(cast.alice):
        used, _ = api_keys.make("Used", cast.alice)
        api_keys.make("Expired", cast.alice, expires_at=datetime(2020, 1, 1, tzinfo=UTC))
        revoked, _ = api_keys.make("Revoked", cast.alice)
        for age in (3, 1, 2):
            at = datetime(2026, 5, 10 - age, 12, tzinfo=UTC)
            Run.objects.create(feature="api", provider="p", model="m", status="ok", finished_at=at, api_key=used)
            Run.objects.filter(finished_at=at).update(created_at=at)
        api_keys.revoke(revoked)
    page = signed_in(cast.alice).get(URL)

    assert [(key.name, key.used_at) for key in page.context["open_keys"]] == [
        ("Used", datetime(2026, 5, 9, 12, tzinfo=UTC))
    ]
    assert [key.name for key in page.context["closed_keys"]] == ["Revoked", "Expired"]


def test_a_revoked_key_opens_nothing_and_stays_so(cast: Cast) -> None:
    alice = signed_in(cast.alice)
    token = shown_token(alice.post(URL, {"name": "Import"}))
    with tenant_context(cast.acme):
        key = ApiKey.objects.get()

    assert alice.post(f"{URL}{key.pk}/revoke/").url == URL
    with tenant_context(cast.acme):
        first = ApiKey.objects.get().revoked_at
    alice.post(f"{URL}{key.pk}/revoke/")

    assert api_keys.find(token) is None
    with tenant_context(cast.acme):
        assert ApiKey.objects.get().revoked_at == first
        assert [event.action for event in AuditEvent.objects.filter(action__startswith="api_key").order_by("at")] == [
            "api_key.created",
            "api_key.revoked",
        ]


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"name": ""}, "Write which program uses it."),
        ({"name": "x" * 81}, "at most 80 characters"),
        ({"name": "x", "last_day": "2020-01-01"}, "That day is over."),
        ({"name": "x", "last_day": "soon"}, "Enter a valid date"),
    ],
)
def test_forms_that_make_no_key(cast: Cast, form: dict[str, str], says: str) -> None:
    page = signed_in(cast.alice).post(URL, form)

    assert page.status_code == 422 and says in page.content.decode()
    with tenant_context(cast.acme):
        assert not ApiKey.objects.exists()


def test_the_last_day_may_be_today(cast: Cast) -> None:
    today = datetime.now(UTC).date()
    token = shown_token(signed_in(cast.alice).post(URL, {"name": "x", "last_day": str(today)}))

    key = api_keys.find(token)
    assert key is not None and key.expires_at - datetime.now(UTC) <= timedelta(days=1)


def test_there_are_not_too_many(cast: Cast, monkeypatch: Any) -> None:
    monkeypatch.setattr(api_keys, "MOST_OPEN", 2)
    alice = signed_in(cast.alice)
    for _ in range(2):
        alice.post(URL, {"name": "x"})
    page = alice.post(URL, {"name": "x"})

    assert page.status_code == 422 and "The workspace has 2 keys." in page.content.decode()
    with tenant_context(cast.acme), user_context(cast.alice):
        with pytest.raises(Refused):
            api_keys.make("x", cast.alice)
        api_keys.revoke(ApiKey.objects.first())
        api_keys.make("x", cast.alice)


def test_only_owners_and_admins_and_nobody_else_s(cast: Cast) -> None:
    with tenant_context(cast.acme), user_context(cast.alice):
        key, token = api_keys.make("Import", cast.alice)
    revoke = f"{URL}{key.pk}/revoke/"
    for role, status in (("viewer", 403), ("member", 403), ("admin", 200)):
        with tenant_context(cast.acme):
            Membership.objects.filter(user=cast.bob).update(role=role)
        bob = signed_in(cast.bob)
        assert (bob.get(URL).status_code, bob.post(URL, {"name": "x"}).status_code) == (status, status)
        if status == 403:
            assert bob.post(revoke).status_code == 403
    charlie = signed_in(cast.charlie)
    assert [charlie.get(URL).status_code, charlie.post(URL, {"name": "x"}).status_code] == [404, 404]
    assert [charlie.post(revoke).status_code, charlie.post(revoke.replace("acme", "globex")).status_code] == [404, 404]
    assert signed_in(cast.alice).get(revoke).status_code == 405
    assert api_keys.find(token) == key


def test_a_token_names_its_workspace(cast: Cast) -> None:
    with tenant_context(cast.acme), user_context(cast.alice):
        _, token = api_keys.make("Import", cast.alice)

    for other in (token.replace(cast.acme.id.hex, cast.globex.id.hex), token.upper(), f" {token}", f"{token}\n", ""):
        assert api_keys.find(other) is None
    assert api_keys.find(token).tenant == cast.acme
