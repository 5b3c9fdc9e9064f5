"""Accounts, sign-up and who gets into which workspace."""

import re

import pytest
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.test import Client

from apps.tenants.context import tenant_context, user_context
from apps.tenants.models import Membership, Tenant, User, validate_slug
from apps.tenants.signup import create_workspace
from tests.conftest import PASSWORD, Cast, signed_in


def test_members_enter_their_workspace(cast: Cast) -> None:
    assert signed_in(cast.alice).get("/t/acme/").status_code == 200
    assert signed_in(cast.bob).get("/t/acme/").status_code == 200


@pytest.mark.parametrize("path", ["", "documents/", "search/", "runs/", "usage/", "chat/conversations/", "nothing/"])
def test_an_outsider_gets_the_same_404_as_for_no_workspace(cast: Cast, path: str) -> None:
    charlie = signed_in(cast.charlie)

    acmes, nobodys = charlie.get(f"/t/acme/{path}"), charlie.get(f"/t/nobody/{path}")

    assert acmes.status_code == nobodys.status_code == 404
    assert without_token(acmes).replace("acme", "") == without_token(nobodys).replace("nobody", "")


def without_token(response: HttpResponse) -> str:
    return re.sub(r"[A-Za-z0-9]{64}", "", response.content.decode())  # CSRF's is masked anew each time


def test_who_is_not_signed_in_is_asked_to(cast: Cast) -> None:
    response = Client().get("/t/acme/documents/?q=1")

    assert response.status_code == 302
    assert response.url == "/accounts/login/?next=/t/acme/documents/%3Fq%3D1"


def test_the_prefix_without_its_slash_redirects(cast: Cast) -> None:
    assert signed_in(cast.alice).get("/t/acme").url == "/t/acme/"


def test_sign_in_by_email_in_any_case(cast: Cast) -> None:
    response = Client().post("/accounts/login/", {"login": "ALICE@acme.example", "password": PASSWORD})

    assert response.status_code == 302


def test_sign_up_makes_a_workspace_and_leads_into_it(db: None) -> None:
    client = Client()

    response = client.post(
        "/accounts/signup/",
        {"email": "dora@initech.example", "password1": "a long enough one", "workspace_name": "Initech & Söhne"},
    )

    dora = User.objects.get(email="dora@initech.example")
    with user_context(dora):
        membership = Membership.unscoped.of(dora).get()
    assert (membership.role, membership.tenant.slug) == ("owner", "initech-sohne")
    assert response.url == "/t/initech-sohne/"


def test_sign_up_that_fails_halfway_leaves_nothing(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from apps.tenants import forms

    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(forms, "create_workspace", broken)
    with pytest.raises(RuntimeError):
        Client().post(
            "/accounts/signup/",
            {"email": "dora@initech.example", "password1": "a long enough one", "workspace_name": "Initech"},
        )

    assert not User.objects.filter(email="dora@initech.example").exists()


def test_workspaces_page_lists_ones_own_and_a_single_one_is_entered(cast: Cast) -> None:
    create_workspace("Second", owner=cast.alice)

    page = signed_in(cast.alice).get("/workspaces/")
    bobs = signed_in(cast.bob).get("/workspaces/")

    assert b"/t/acme/" in page.content and b"/t/second/" in page.content and b"globex" not in page.content
    assert bobs.url == "/t/acme/"


def test_a_further_workspace(cast: Cast) -> None:
    client = signed_in(cast.alice)

    assert client.post("/workspaces/new/", {"name": "Lab", "slug": ""}).url == "/t/lab/"
    assert b"is taken" in client.post("/workspaces/new/", {"name": "Lab", "slug": "globex"}).content
    assert b"reserved" in client.post("/workspaces/new/", {"name": "Lab", "slug": "admin"}).content
    with user_context(cast.alice):
        assert Tenant.objects.filter(name="Lab").count() == 1


@pytest.mark.parametrize("slug", ["Acme", "аcme", "a_b", "-a", "a-", "", "x" * 41, "a\n", "platform"])
def test_bad_slugs_are_refused(slug: str) -> None:
    with pytest.raises(ValidationError):
        validate_slug(slug)


def test_a_removed_member_is_an_outsider(cast: Cast) -> None:
    client = signed_in(cast.bob)
    assert client.get("/t/acme/").status_code == 200

    with tenant_context(cast.acme):
        Membership.objects.filter(user=cast.bob).delete()

    assert client.get("/t/acme/").status_code == 404


def test_pages_carry_a_strict_policy(cast: Cast) -> None:
    policy = signed_in(cast.alice).get("/t/acme/")["Content-Security-Policy"]

    assert "default-src 'none'" in policy and "script-src 'self'" in policy
    assert "unsafe" not in policy


def test_health_needs_no_account(db: None) -> None:
    assert Client().get("/healthz").content == b"ok"
