"""A workspace's own admin: its rows and nobody else's, for its owners and admins, to be read."""

import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver
from django.utils import timezone

from apps.knowledge.models import Document
from apps.prompts.models import PromptVersion
from apps.runs.models import Budget, Run
from apps.tenants.audit import record
from apps.tenants.context import tenant_context
from apps.tenants.models import AuditEvent, Domain, Invitation, Membership, Tenant, User
from apps.tenants.permissions import Permission
from config.workspace_admin import site
from tests.conftest import PASSWORD, Cast, signed_in

pytestmark = pytest.mark.pool_and_silo

MODELS = [
    "tenants/membership",
    "tenants/invitation",
    "tenants/domain",
    "tenants/auditevent",
    "knowledge/document",
    "runs/run",
    "runs/budget",
    "prompts/prompt",
    "prompts/promptversion",
]
ADMIN = "/t/acme/admin/"


def fill(tenant: Tenant, user: User) -> dict[str, object]:
    """A row of each kind that names its workspace, by model."""
    name = tenant.slug
    with tenant_context(tenant):
        default = PromptVersion.objects.live("answer")
        return {
            "tenants/membership": Membership.objects.get(user=user),
            "tenants/invitation": Invitation.objects.create(
                email=f"guest@{name}-secret.example",
                token_digest=name,
                invited_by=user,
                expires_at=timezone.now() + timedelta(days=1),
            ),
            "tenants/domain": Domain.objects.create(
                domain=f"chat.{name}-secret.example", verified_at=timezone.now()
            ),  # readable by everybody at the database
            "tenants/auditevent": record("test.done", user, secret=f"{name}-secret"),
            "knowledge/document": Document.objects.create(
                title=f"{name}-secret", filename="x.txt", kind="txt", size_bytes=1, sha256=name, uploaded_by=user
            ),
            "runs/run": Run.objects.create(feature=f"{name}-secret", provider="p", model="m", user=user),
            "runs/budget": Budget.objects.create(scope="feature", subject=f"{name}-secret", cap_usd=1),
            "prompts/promptversion": PromptVersion.objects.create(
                tenant=tenant, prompt=default.prompt, number=77, body=f"{name}-secret", checksum="x"
            ),
        }


@pytest.fixture
def rows(cast: Cast) -> dict[str, dict[str, object]]:
    return {"acme": fill(cast.acme, cast.alice), "globex": fill(cast.globex, cast.charlie)}


def member(cast: Cast, role: str) -> Client:
    user = User.objects.create_user(f"{role}@acme.example", PASSWORD)
    with tenant_context(cast.acme):
        Membership.objects.create(user=user, role=role)
    return signed_in(user)


@pytest.mark.parametrize("page", ["", *(f"{model}/" for model in MODELS), "runs/", "jsi18n/"])
def test_owners_and_admins_see_it(cast: Cast, page: str) -> None:
    assert signed_in(cast.alice).get(ADMIN + page).status_code == 200
    assert member(cast, "admin").get(ADMIN + page).status_code == 200
    assert member(cast, "viewer").get(ADMIN + page).status_code == 403
    assert signed_in(cast.bob).get(ADMIN + page).status_code == 403
    assert signed_in(cast.charlie).get(ADMIN + page).status_code == 404
    assert Client().get(ADMIN + page).url.startswith("/accounts/login/")


def test_staff_of_the_platform_have_no_key(cast: Cast) -> None:
    operator = User.objects.create_superuser("admin@corbel.example", PASSWORD)
    assert signed_in(operator).get(ADMIN).status_code == 404

    with tenant_context(cast.acme):
        Membership.objects.create(user=operator, role=Membership.Role.MEMBER)
    assert signed_in(operator).get(ADMIN).status_code == 403


@pytest.mark.parametrize("model", MODELS)
def test_lists_hold_this_workspaces_rows_alone(cast: Cast, rows: dict[str, dict[str, object]], model: str) -> None:
    response = signed_in(cast.alice).get(f"{ADMIN}{model}/")
    listed = {row.pk for row in response.context["cl"].result_list}
    page = response.content.decode()

    if model in rows["acme"]:
        assert rows["acme"][model].pk in listed
        assert rows["globex"][model].pk not in listed
    assert "globex" not in page.lower() and "charlie" not in page.lower()
    assert "Acme" in page and "Corbel platform" not in page and "/platform/" not in page


@pytest.mark.parametrize("model", [model for model in MODELS if model != "prompts/prompt"])
def test_a_row_is_shown_and_anothers_is_not_found(cast: Cast, rows: dict[str, dict[str, object]], model: str) -> None:
    client = signed_in(cast.alice)

    own = client.get(f"{ADMIN}{model}/{rows['acme'][model].pk}/change/")
    others = client.get(f"{ADMIN}{model}/{rows['globex'][model].pk}/change/", follow=True)

    assert own.status_code == 200 and "globex" not in own.content.decode().lower()
    assert others.redirect_chain == [(ADMIN, 302)]  # as for a row that doesn't exist
    assert "-secret" not in others.content.decode() and "charlie" not in others.content.decode().lower()


def test_the_defaults_of_prompts_are_shown_with_ones_own(cast: Cast, rows: dict[str, dict[str, object]]) -> None:
    listed = signed_in(cast.alice).get(f"{ADMIN}prompts/promptversion/").context["cl"].result_list

    assert {version.tenant_id for version in listed} == {None, cast.acme.id}


@pytest.mark.parametrize("model", MODELS)
def test_filters_name_no_strangers(cast: Cast, rows: dict[str, dict[str, object]], model: str) -> None:
    response = signed_in(cast.alice).get(f"{ADMIN}{model}/")
    choices = [
        str(choice["display"])
        for spec in response.context["cl"].filter_specs
        for choice in spec.choices(response.context["cl"])
    ]

    assert not [choice for choice in choices if "globex" in choice.lower() or "charlie" in choice.lower()]
    if model in ("runs/run", "knowledge/document", "tenants/auditevent"):
        assert {"alice@acme.example", "bob@acme.example"} <= set(choices)


def test_filtering_by_a_member_and_by_a_stranger(cast: Cast, rows: dict[str, dict[str, object]]) -> None:
    def found(query: str) -> int:
        return len(signed_in(cast.alice).get(f"{ADMIN}runs/run/?{query}").context["cl"].result_list)

    assert found(f"member={cast.alice.id}") == 1
    assert found(f"member={cast.bob.id}") == 0
    assert found(f"member={cast.charlie.id}") == found("member=nonsense") == 0
    assert found("q=acme-secret") == 1
    assert found("q=globex") == found("q=charlie") == 0


def test_of_many_members_a_filter_lists_the_first(cast: Cast, rows: dict[str, dict[str, object]]) -> None:
    users = User.objects.bulk_create(User(email=f"person-{number:03}@acme.example") for number in range(150))
    with tenant_context(cast.acme):
        Membership.objects.bulk_create(Membership(user=user) for user in users)
        Run.objects.create(feature="x", provider="p", model="m", user=users[-1])

    changelist = signed_in(cast.alice).get(f"{ADMIN}runs/run/?member={users[-1].id}").context["cl"]

    spec = changelist.filter_specs[-1]
    assert (len(spec.lookup_choices), spec.title) == (100, "member (the first 100)")
    assert spec.lookup_choices[-1][1] == "person-097@acme.example"  # after Alice and Bob
    assert [run.user_id for run in changelist.result_list] == [users[-1].id]


@pytest.mark.parametrize("query", ["user__password__startswith=p", "tenant__slug=globex", "user__is_staff=1"])
def test_columns_of_others_tables_cannot_be_guessed_at(cast: Cast, query: str) -> None:
    assert signed_in(cast.alice).get(f"{ADMIN}runs/run/?{query}").status_code == 400


@pytest.mark.parametrize("model", [model for model in MODELS if model != "prompts/prompt"])
def test_nothing_is_changed_here(cast: Cast, rows: dict[str, dict[str, object]], model: str) -> None:
    client, row = signed_in(cast.alice), rows["acme"][model]

    assert client.post(f"{ADMIN}{model}/{row.pk}/change/", {"role": "viewer", "title": "x"}).status_code == 403
    for deed in (f"{row.pk}/delete/", f"{row.pk}/history/", "add/"):
        assert client.post(f"{ADMIN}{model}/{deed}", {"post": "yes"}).status_code in (302, 404)
        assert client.get(f"{ADMIN}{model}/{deed}", follow=True).redirect_chain[-1:] in ([], [(ADMIN, 302)])
    client.post(f"{ADMIN}{model}/", {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})

    with tenant_context(cast.acme):
        assert type(row).unscoped.filter(pk=row.pk).exists()


@pytest.mark.parametrize(
    "path",
    [
        "login/",
        "password_change/",
        "password_change/done/",
        "autocomplete/?app_label=runs&model_name=run&field_name=user&term=c",
        "r/1/1/",
        "nothing/",
        "auth/user/",
        "tenants/user/",
        "tenants/tenant/",
        "chat/conversation/",
        "admin/logentry/",
    ],
)
def test_what_it_leaves_out(cast: Cast, path: str) -> None:
    assert signed_in(cast.alice).get(ADMIN + path).status_code == 404


def test_signing_out_is_the_one_of_all_pages(cast: Cast) -> None:
    client = signed_in(cast.alice)

    response = client.post(f"{ADMIN}logout/")
    assert (response.status_code, response.url) == (307, "/accounts/logout/")

    page = client.get(ADMIN).content.decode()
    assert 'href="/accounts/"' in page and "password_change" not in page


def test_every_view_names_its_permission() -> None:
    def views(patterns: list[URLPattern | URLResolver]) -> list[URLPattern]:
        return [
            view
            for each in patterns
            for view in (views(each.url_patterns) if isinstance(each, URLResolver) else [each])
        ]

    found = views(site.get_urls())

    assert len(found) > 3 * len(MODELS)
    assert {view.callback.permission for view in found} == {Permission.CHANGE_SETTINGS}


def test_what_operators_did_is_not_told(cast: Cast) -> None:
    """Not even to an owner who is one of them."""
    LogEntry.objects.create(
        user=cast.alice,
        content_type=ContentType.objects.get_for_model(Tenant),
        object_id=str(cast.globex.id),
        object_repr="Globex",
        action_flag=2,
    )

    assert "Globex" not in signed_in(cast.alice).get(ADMIN).content.decode()


def test_a_search_kept_for_one_workspace_is_not_shown_in_another(cast: Cast) -> None:
    with tenant_context(cast.globex):
        Membership.objects.create(user=cast.alice, role=Membership.Role.ADMIN)
    client = signed_in(cast.alice)

    client.get("/t/globex/admin/search/?s=run")

    assert "globex" not in client.get(f"{ADMIN}search/?s=run").content.decode()


def test_a_name_is_text_and_its_own_workspaces(cast: Cast) -> None:
    with tenant_context(cast.acme):
        Tenant.objects.update(name="<b>os.getcwd</b>")

    page = signed_in(cast.alice).get(ADMIN).content.decode()

    assert "&lt;b&gt;os.getcwd&lt;/b&gt;" in page and "<b>os.getcwd" not in page


def test_its_policy_is_the_platform_admins(cast: Cast) -> None:
    header = signed_in(cast.alice).get(f"{ADMIN}runs/run/")["Content-Security-Policy"]

    policy = dict(directive.strip().split(" ", 1) for directive in header.split(";"))
    assert (policy["default-src"], policy["script-src"]) == ("'none'", "'self' 'unsafe-eval'")
    assert policy["style-src"].startswith("'self' 'nonce-")


@pytest.mark.django_db(transaction=True, databases=["default", "platform"])
def test_the_role_that_sees_every_tenant_is_never_asked(committed_cast: Cast) -> None:
    client = signed_in(committed_cast.alice)

    with CaptureQueriesContext(connections["platform"]) as asked:
        for model in MODELS:
            assert client.get(f"{ADMIN}{model}/").status_code == 200

    assert len(asked) == 0


def test_links_stay_in_the_workspace(cast: Cast, rows: dict[str, dict[str, object]]) -> None:
    page = signed_in(cast.alice).get(f"{ADMIN}knowledge/document/").content.decode()

    links = set(re.findall(r'href="(/[^"]*)"', page))
    assert {link for link in links if not link.startswith(("/t/acme/", "/static/"))} == {"/accounts/"}
    assert f"/t/acme/documents/{rows['acme']['knowledge/document'].pk}/" in links
    with tenant_context(cast.acme):
        assert AuditEvent.objects.filter(action="test.done").count() == 1
