"""The settings of a workspace: who may open them, what each section writes, and what the log says of it."""

import uuid
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.test import Client

from apps.chat.ask import ask as ask_question
from apps.chat.reply import gather
from apps.knowledge.add import store
from apps.knowledge.ingest import ingest
from apps.runs import execute
from apps.runs.gateway.types import Message, Request
from apps.runs.models import Run
from apps.tenants.change import change
from apps.tenants.context import tenant_context
from apps.tenants.models import AuditEvent, Membership, Tenant, User
from apps.tenants.signup import SlugTaken
from apps.tenants.threads import in_thread
from tests.accounts.conftest import code, log_in, with_app
from tests.conftest import PASSWORD, Cast, signed_in

PAGES = ["", "models/", "security/", "domains/"]
DEEDS = ["address/", "domains/add/"]


def now(tenant: Tenant) -> Tenant:
    with tenant_context(tenant):
        return Tenant.objects.get()


def logged(tenant: Tenant, action: str) -> list[dict[str, Any]]:
    with tenant_context(tenant):
        return list(AuditEvent.objects.filter(action=action).order_by("at").values_list("details", flat=True))


def someone(cast: Cast, role: str) -> Client:
    user = User.objects.create_user(f"{role}@acme.example", PASSWORD)
    with tenant_context(cast.acme):
        Membership.objects.create(user=user, role=role)
    return signed_in(user)


@pytest.mark.parametrize("page", PAGES)
def test_owners_and_admins_open_every_section(cast: Cast, page: str) -> None:
    path = f"/t/acme/settings/{page}"

    assert signed_in(cast.alice).get(path).status_code == 200
    assert someone(cast, "admin").get(path).status_code == 200
    assert signed_in(cast.bob).get(path).status_code == 403
    assert someone(cast, "viewer").get(path).status_code == 403
    assert signed_in(cast.charlie).get(path).status_code == 404
    assert Client().get(path).url == f"/accounts/login/?next={path}"


@pytest.mark.parametrize("page", [*PAGES, *DEEDS])
def test_nobody_else_changes_anything(cast: Cast, page: str) -> None:
    said = {"name": "Taken over", "slug": "taken", "mfa_required": "on", "which": "some", "domain": "x.example"}

    assert signed_in(cast.bob).post(f"/t/acme/settings/{page}", said).status_code in (403, 405)
    assert someone(cast, "viewer").post(f"/t/acme/settings/{page}", said).status_code in (403, 405)
    assert signed_in(cast.charlie).post(f"/t/acme/settings/{page}", said).status_code == 404

    acme = now(cast.acme)
    assert (acme.name, acme.slug, acme.mfa_required, acme.allowed_models) == ("Acme", "acme", False, [])


def test_only_who_may_sees_the_link(cast: Cast) -> None:
    assert b"/t/acme/settings/" in signed_in(cast.alice).get("/t/acme/documents/").content
    assert b"/t/acme/settings/" not in signed_in(cast.bob).get("/t/acme/documents/").content


def test_a_new_name_is_written_and_logged(cast: Cast) -> None:
    page = signed_in(cast.alice).post("/t/acme/settings/", {"name": "  Acme <b>Ltd</b> "}, follow=True)

    assert now(cast.acme).name == "Acme <b>Ltd</b>"
    assert b"Acme &lt;b&gt;Ltd" in page.content and b"<b>Ltd" not in page.content
    assert logged(cast.acme, "workspace.renamed") == [{"name": {"before": "Acme", "after": "Acme <b>Ltd</b>"}}]


def test_what_does_not_change_is_not_logged(cast: Cast) -> None:
    signed_in(cast.alice).post("/t/acme/settings/", {"name": "Acme"})

    assert logged(cast.acme, "workspace.renamed") == []


def test_a_new_address_moves_the_workspace(cast: Cast) -> None:
    client = signed_in(cast.alice)

    response = client.post("/t/acme/settings/address/", {"slug": "acme-ltd"})

    assert response.url == "/t/acme-ltd/settings/"
    assert client.get("/t/acme-ltd/").status_code == 200
    assert client.get("/t/acme/").status_code == 404
    assert logged(cast.acme, "workspace.renamed") == [{"slug": {"before": "acme", "after": "acme-ltd"}}]


@pytest.mark.parametrize(
    ("slug", "sentence"),
    [
        ("globex", "“globex” is taken. Choose another address."),
        ("admin", "“admin” is reserved. Choose another address."),
        ("Acme-Ltd", "Addresses have no capital letters. Write “acme-ltd”."),
        ("аcme", "“а” is “Cyrillic small letter a”. Addresses have only the letters a to z, digits and hyphens."),
        ("acmе", "“е” is “Cyrillic small letter ie”. Addresses have only the letters a to z, digits and hyphens."),
        ("xn--cme-5cd", "What begins with xn-- stands for letters of other alphabets. Choose another address."),
        ("acme_ltd", "Use 1 to 40 lower-case letters a to z, digits and hyphens, with no hyphen at either end."),
        ("-acme", "Use 1 to 40 lower-case letters a to z, digits and hyphens, with no hyphen at either end."),
        ("", "This field is required."),
    ],
)
def test_an_address_that_cannot_be_says_why(cast: Cast, slug: str, sentence: str) -> None:
    response = signed_in(cast.alice).post("/t/acme/settings/address/", {"slug": slug})

    assert response.context["address_form"].errors["slug"] == [sentence]
    assert now(cast.acme).slug == "acme"
    further = signed_in(cast.alice).post("/workspaces/new/", {"name": "Lab", "slug": slug})
    assert not slug or further.context["form"].errors["slug"] == [sentence]


def test_an_address_that_was_taken_meanwhile_is_a_sentence_too(cast: Cast) -> None:
    with tenant_context(cast.acme):
        with pytest.raises(SlugTaken):
            change(cast.acme, slug="globex", name="Half")
        assert Tenant.objects.get().name == "Acme"


def test_two_sections_saved_at_once_lose_nothing(cast: Cast) -> None:
    """Each writes from a workspace that was read before the other's change."""
    with tenant_context(cast.acme):
        alices, bobs = Tenant.objects.get(), Tenant.objects.get()
        change(bobs, passages_per_answer=9)
        change(alices, name="Acme Ltd")

        found = Tenant.objects.get()
    assert (found.name, found.passages_per_answer) == ("Acme Ltd", 9)


def test_a_second_factor_is_required_only_by_who_has_one(cast: Cast) -> None:
    client = signed_in(cast.alice)

    refused = client.post("/t/acme/settings/security/", {"mfa_required": "on"})

    assert "this would shut you out" in refused.context["form"].errors["mfa_required"][0]
    assert now(cast.acme).mfa_required is False
    assert client.post("/t/acme/settings/security/", {}).status_code == 302  # off is what it is


def test_who_proved_a_second_factor_may_require_it(cast: Cast) -> None:
    client = with_second_factor(cast.alice)

    assert client.post("/t/acme/settings/security/", {"mfa_required": "on"}).status_code == 302

    assert now(cast.acme).mfa_required is True
    assert logged(cast.acme, "settings.changed") == [{"mfa_required": {"before": False, "after": True}}]
    assert client.get("/t/acme/settings/").status_code == 200
    bobs = signed_in(cast.bob).get("/t/acme/")
    assert bobs.status_code == 302 and bobs.url.startswith("/accounts/second-factor/")


def with_second_factor(user: User) -> Client:
    secret = with_app(user)
    client = log_in(user)
    client.post("/accounts/2fa/authenticate/", {"code": code(secret)})
    return client


# --- Models


@pytest.fixture
def two_models(settings: Any) -> None:
    settings.OPENAI_API_KEY = settings.ANTHROPIC_API_KEY = "sk-test"
    settings.OPENAI_MODEL, settings.ANTHROPIC_MODEL = "gpt-test", "claude-test"


def test_what_this_service_has_is_offered(cast: Cast, two_models: None) -> None:
    form = signed_in(cast.alice).get("/t/acme/settings/models/").context["form"]

    assert form.fields["models"].choices == [("gpt-test", "openai"), ("claude-test", "anthropic")]
    assert form.initial["which"] == "every"


def test_some_models_are_allowed_and_later_every_one_again(cast: Cast, two_models: None) -> None:
    client = signed_in(cast.alice)

    client.post("/t/acme/settings/models/", {"which": "some", "models": ["claude-test"], "passages": "9"})
    assert (now(cast.acme).allowed_models, now(cast.acme).passages_per_answer) == (["claude-test"], 9)

    client.post("/t/acme/settings/models/", {"which": "every", "models": ["claude-test"], "passages": ""})
    assert (now(cast.acme).allowed_models, now(cast.acme).passages_per_answer) == ([], None)
    assert logged(cast.acme, "settings.changed")[0] == {
        "allowed_models": {"before": [], "after": ["claude-test"]},
        "passages_per_answer": {"before": None, "after": 9},
    }


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"which": "some"}, "models"),
        ({"which": "some", "models": ["somebody-elses"]}, "models"),
        ({"which": "nonsense"}, "which"),
        ({"which": "every", "passages": "0"}, "passages"),
        ({"which": "every", "passages": "21"}, "passages"),
        ({"which": "every", "passages": "many"}, "passages"),
    ],
)
def test_models_that_cannot_be_are_refused(cast: Cast, two_models: None, said: dict[str, Any], field: str) -> None:
    response = signed_in(cast.alice).post("/t/acme/settings/models/", said)

    assert list(response.context["form"].errors) == [field]
    assert now(cast.acme).allowed_models == []


def test_a_model_that_is_gone_is_named(cast: Cast) -> None:
    with tenant_context(cast.acme):
        change(cast.acme, allowed_models=["gpt-0"])

    assert b"gpt-0" in signed_in(cast.alice).get("/t/acme/settings/models/").content


QUESTION = Request(messages=(Message("user", "Hello?"),), max_output_tokens=50, question="Hello?")


async def ask(tenant: Tenant, **changes: Any) -> tuple[Run, Run]:
    with tenant_context(tenant):
        await in_thread(change, tenant, **changes)
        run = await execute.complete(QUESTION, feature="chat")
        return run, await in_thread(Run.objects.get)


async def test_an_allowed_model_answers(committed_cast: Cast) -> None:
    _, stored = await ask(committed_cast.acme, allowed_models=["extractive-1"])

    assert (stored.status, stored.model) == ("ok", "extractive-1")


async def test_a_workspace_that_allows_no_model_is_told_where_to_mend_it(committed_cast: Cast) -> None:
    run, stored = await ask(committed_cast.acme, allowed_models=["gpt-0"])

    assert (stored.status, stored.error_code, stored.input_tokens) == ("refused", "no_model_allowed", 0)
    fault = execute.explain(run.error)
    assert fault.action == "An owner or admin can allow others under Settings, Models."
    with tenant_context(committed_cast.globex):
        other = await execute.complete(QUESTION, feature="chat")
    assert other.status == "ok"


def test_an_answer_is_given_as_many_passages_as_the_workspace_wants(cast: Cast, media: Path) -> None:
    sections = "".join(f"\n\n## Leave {n}\n\n" + f"Paid leave in year {n} is {n} days. " * 40 for n in range(1, 6))
    with tenant_context(cast.acme):
        ingest(store(ContentFile(f"# Handbook{sections}".encode(), name="handbook.md"), user=None).id)
        asked = ask_question("How much paid leave?", user=cast.alice, client_id=uuid.uuid4(), conversation_id=None)

        usual = gather(asked, cast.alice, cast.acme).hits
        change(cast.acme, passages_per_answer=2)
        fewer = gather(asked, cast.alice, cast.acme).hits

    assert len(usual) > 2 and len(fewer) == 2
