"""The platform's own admin: staff see every tenant, nobody else sees the door."""

import pytest
from django.test import Client

from apps.runs.models import Run
from apps.tenants.context import tenant_context
from apps.tenants.models import AuditEvent, Tenant, User
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


def press(operator: Client, action: str, *tenants: Tenant) -> str:
    selected = [str(tenant.pk) for tenant in tenants]
    page = operator.post("/platform/tenants/tenant/", {"action": action, "_selected_action": selected}, follow=True)
    return " ".join(str(message) for message in page.context["messages"])


def test_a_suspended_workspace_says_so_and_resumes(committed_cast: Cast, operator: Client) -> None:
    alice = signed_in(committed_cast.alice)

    assert press(operator, "suspend", committed_cast.acme) == "Acme is suspended."
    shut = alice.get("/t/acme/documents/")
    assert shut.status_code == 403 and "Acme is suspended" in shut.content.decode()
    assert signed_in(committed_cast.charlie).get("/t/globex/documents/").status_code == 200
    assert signed_in(committed_cast.charlie).get("/t/acme/documents/").status_code == 404

    assert press(operator, "resume", committed_cast.acme, committed_cast.globex) == "Acme is open again."
    assert alice.get("/t/acme/documents/").status_code == 200
    with tenant_context(committed_cast.acme):
        events = AuditEvent.objects.filter(target_type="tenant").order_by("at").values_list("action", "actor_email")
        assert list(events)[1:] == [
            ("workspace.suspended", "admin@corbel.example"),
            ("workspace.resumed", "admin@corbel.example"),
        ]
    with tenant_context(committed_cast.globex):
        assert AuditEvent.objects.filter(action="workspace.resumed").count() == 0


def test_what_is_being_deleted_is_not_resumed(committed_cast: Cast, operator: Client) -> None:
    with tenant_context(committed_cast.acme):
        Tenant.objects.update(status=Tenant.Status.LEAVING)

    assert press(operator, "resume", committed_cast.acme).startswith("Nothing changed")
    assert press(operator, "suspend", committed_cast.acme).startswith("Nothing changed")


def test_suspending_is_the_platforms_alone(committed_cast: Cast) -> None:
    press_by_alice = signed_in(committed_cast.alice).post(
        "/platform/tenants/tenant/", {"action": "suspend", "_selected_action": [str(committed_cast.globex.pk)]}
    )

    assert press_by_alice.status_code == 302
    assert signed_in(committed_cast.charlie).get("/t/globex/").status_code == 200


def test_tenants_are_listed_with_their_state_and_kind(committed_cast: Cast, operator: Client) -> None:
    page = operator.get("/platform/tenants/tenant/")

    assert [(tenant.status, tenant.is_silo) for tenant in page.context["cl"].result_list] == [("active", False)] * 2
    change = operator.get(f"/platform/tenants/tenant/{committed_cast.acme.pk}/change/").content.decode()
    assert "pool" in change and 'name="status"' not in change


def test_a_rename_by_an_operator_writes_the_name_alone_and_is_logged(committed_cast: Cast, operator: Client) -> None:
    path = f"/platform/tenants/tenant/{committed_cast.acme.pk}/change/"

    operator.post(path, {"name": "Acme Ltd", "slug": "acme", "status": "suspended"})
    refused = operator.post(path, {"name": "Acme Ltd", "slug": "globex"})

    assert "“globex” is taken. Choose another address." in refused.content.decode()
    with tenant_context(committed_cast.acme):
        acme, event = Tenant.objects.get(), AuditEvent.objects.get(action="workspace.renamed")
    assert (acme.name, acme.slug, acme.status) == ("Acme Ltd", "acme", "active")
    assert event.details == {"name": {"before": "Acme", "after": "Acme Ltd"}}
    assert event.actor_email == "admin@corbel.example"


def test_a_workspaces_address_is_changed_and_the_log_says_so(committed_cast: Cast, operator: Client) -> None:
    page = f"/platform/tenants/tenant/{committed_cast.acme.pk}/change/"

    assert operator.post(page, {"name": "Acme", "slug": "acme-industries"}).status_code == 302

    assert signed_in(committed_cast.alice).get("/t/acme-industries/").status_code == 200
    with tenant_context(committed_cast.acme):
        event = AuditEvent.objects.get(action="workspace.renamed")
    assert event.actor_email == "admin@corbel.example"
    assert event.details == {"slug": {"before": "acme", "after": "acme-industries"}}
