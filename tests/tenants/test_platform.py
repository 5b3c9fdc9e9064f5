"""The platform's own admin: staff see every tenant, nobody else sees the door."""

import pytest
from django.test import Client

from apps.runs.models import Run
from apps.tenants.context import tenant_context
from apps.tenants.models import User
from tests.conftest import PASSWORD, Cast, signed_in

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "platform"])

PAGES = [
    "tenants/tenant/",
    "tenants/user/",
    "tenants/membership/",
    "runs/run/",
    "runs/modelprice/",
    "prompts/promptversion/",
]


@pytest.fixture
def operator(committed_cast: Cast) -> Client:
    return signed_in(User.objects.create_superuser("admin@corbel.example", PASSWORD))


@pytest.mark.parametrize("page", ["", *PAGES])
def test_staff_see_it_and_owners_do_not(committed_cast: Cast, operator: Client, page: str) -> None:
    assert operator.get(f"/platform/{page}").status_code == 200
    assert signed_in(committed_cast.alice).get(f"/platform/{page}").status_code == 302
    assert Client().get(f"/platform/{page}").status_code == 302


def test_runs_of_every_tenant_are_listed(committed_cast: Cast, operator: Client) -> None:
    for tenant, feature in ((committed_cast.acme, "acmes-feature"), (committed_cast.globex, "globexs-feature")):
        with tenant_context(tenant):
            Run.objects.create(feature=feature, provider="offline", model="extractive-1")

    page = operator.get("/platform/runs/run/").content.decode()

    assert "acmes-feature" in page and "globexs-feature" in page


def test_tenants_are_listed_with_their_members(committed_cast: Cast, operator: Client) -> None:
    listed = operator.get("/platform/tenants/tenant/").context["cl"].result_list

    assert [(tenant.name, tenant.members) for tenant in listed] == [("Acme", 2), ("Globex", 1)]


def test_its_policy_lets_in_no_foreign_and_no_inline_script(operator: Client) -> None:
    header = operator.get("/platform/runs/run/")["Content-Security-Policy"]

    policy = dict(directive.strip().split(" ", 1) for directive in header.split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self' 'unsafe-eval'"
    assert policy["style-src"].startswith("'self' 'nonce-")
    assert policy["style-src-attr"] == "'unsafe-inline'"


def test_staff_have_no_key_to_a_workspace(operator: Client) -> None:
    assert operator.get("/t/acme/").status_code == 404


def test_signing_in_is_the_one_page_for_all(committed_cast: Cast) -> None:
    assert Client().get("/platform/", follow=True).redirect_chain[-1][0] == "/accounts/login/?next=/platform/"
    assert signed_in(committed_cast.alice).get("/platform/login/").url == "/workspaces/"


def test_people_are_not_deleted_only_shut_out(committed_cast: Cast, operator: Client) -> None:
    user = committed_cast.bob

    assert operator.post(f"/platform/tenants/user/{user.pk}/delete/", {"post": "yes"}).status_code == 403
    operator.post(f"/platform/tenants/user/{user.pk}/change/", {"name": "Bob", "email": "x@evil.example"})

    user.refresh_from_db()
    assert (user.is_active, user.email) == (False, "bob@acme.example")
