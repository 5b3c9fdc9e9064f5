"""Kill switches: an operator's and a workspace's own, in force at once everywhere, and what still works without AI."""

import sys
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.test import Client

from apps.knowledge.add import store
from apps.knowledge.ingest import ingest
from apps.knowledge.models import Document
from apps.knowledge.search import search
from apps.runs import execute
from apps.runs.gateway.types import Message, Request
from apps.tenants import flags
from apps.tenants.context import tenant_context
from apps.tenants.models import AuditEvent, Flag, Tenant, User
from apps.tenants.threads import in_thread
from tests.conftest import PASSWORD, Cast, signed_in

PAGE = "/t/acme/settings/features/"
PLATFORM = "/platform/tenants/flag/"
HELLO = Request(messages=(Message("user", "Say hello."),), max_output_tokens=50, question="Hello?")
EVERYTHING = list(flags.FEATURES)
operated = pytest.mark.django_db(transaction=True, databases=["default", "platform"])


def everything_but(*names: str) -> dict[str, list[str]]:
    return {"on": [name for name in EVERYTHING if name not in names]}


def off_for(tenant: Tenant) -> dict[str, str]:
    """What is off, and by which switch."""
    with tenant_context(tenant):
        return {name: found.switch.name for name, found in flags.off_now().items()}


def switches(tenant: Tenant) -> list[dict[str, Any]]:
    with tenant_context(tenant):
        return list(AuditEvent.objects.filter(action="flag.switched").order_by("at").values_list("details", flat=True))


@pytest.fixture
def operator(committed_cast: Cast) -> Client:
    return signed_in(User.objects.create_superuser("admin@corbel.example", PASSWORD))


def test_everything_is_on_by_itself(cast: Cast) -> None:
    assert off_for(cast.acme) == {}


def test_a_workspace_switches_its_own_features(cast: Cast) -> None:
    alice = signed_in(cast.alice)

    alice.post(PAGE, everything_but("search"))

    assert off_for(cast.acme) == {"search": "search"}
    assert off_for(cast.globex) == {}
    assert switches(cast.acme) == [{"feature": "Search by meaning", "state": "off"}]

    alice.post(PAGE, everything_but())
    alice.post(PAGE, everything_but())
    assert off_for(cast.acme) == {}
    assert [switch["state"] for switch in switches(cast.acme)] == ["off", "on"]


def test_ai_off_is_everything_off(cast: Cast) -> None:
    signed_in(cast.alice).post(PAGE, everything_but("ai"))

    assert off_for(cast.acme) == dict.fromkeys(EVERYTHING, "ai")


def test_only_owners_and_admins_switch(cast: Cast) -> None:
    for visitor, status in ((cast.bob, 403), (cast.charlie, 404)):
        assert signed_in(visitor).get(PAGE).status_code == status
        assert signed_in(visitor).post(PAGE, {"on": []}).status_code == status

    assert off_for(cast.acme) == {}


def test_an_unknown_name_switches_nothing(cast: Cast) -> None:
    assert signed_in(cast.alice).post(PAGE, {"on": ["everything"]}).status_code == 200
    assert off_for(cast.acme) == {}


@operated
def test_an_operator_switches_off_for_everybody(committed_cast: Cast, operator: Client) -> None:
    said = {"name": "chat", "tenant": "", "note": "The provider is down."}

    response = operator.post(f"{PLATFORM}add/", said)

    assert response.status_code == 302, response.context["adminform"].errors
    assert off_for(committed_cast.acme) == off_for(committed_cast.globex) == {"chat": "chat"}
    alice = signed_in(committed_cast.alice)
    page = alice.get(PAGE).content.decode()
    assert "Whoever runs this service has switched it off." in page and "The provider is down." in page
    alice.post(PAGE, everything_but())
    assert off_for(committed_cast.acme) == {"chat": "chat"}
    assert operator.post(f"{PLATFORM}add/", said).status_code == 200  # there is one already

    flag = Flag.unscoped.using("platform").get()
    operator.post(f"{PLATFORM}{flag.pk}/change/", {**said, "is_on": "on"})
    assert off_for(committed_cast.acme) == {}


@operated
def test_an_operators_switch_for_one_workspace_is_not_its_own_to_undo(committed_cast: Cast, operator: Client) -> None:
    said = {"name": "ai", "tenant": str(committed_cast.acme.pk), "note": "Unpaid."}
    alice = signed_in(committed_cast.alice)
    alice.post(PAGE, everything_but("ai"))

    assert operator.post(f"{PLATFORM}add/", said).status_code == 302
    alice.post(PAGE, everything_but())

    assert off_for(committed_cast.acme) == dict.fromkeys(EVERYTHING, "ai")
    assert off_for(committed_cast.globex) == {}
    assert switches(committed_cast.acme)[1] == {"feature": "AI", "state": "off", "why": "Unpaid."}
    flag = Flag.unscoped.using("platform").get(by_operator=True)
    assert operator.post(f"{PLATFORM}{flag.pk}/delete/", {"post": "yes"}).status_code == 302
    assert off_for(committed_cast.acme) == {}


@operated
def test_the_operators_page_lists_no_workspaces_own_switches(committed_cast: Cast, operator: Client) -> None:
    signed_in(committed_cast.alice).post(PAGE, everything_but("search"))

    assert list(operator.get(PLATFORM).context["cl"].result_list) == []
    assert operator.get(f"{PLATFORM}add/").status_code == 200
    assert b"search" in signed_in(committed_cast.alice).get("/t/acme/admin/tenants/flag/").content
    assert signed_in(committed_cast.alice).get(PLATFORM).status_code == 302


# --- With AI off


async def test_the_next_call_is_refused_and_the_one_after_it_made_again(committed_cast: Cast) -> None:
    async def status() -> tuple[str, str]:
        with tenant_context(committed_cast.acme):
            run = await execute.complete(HELLO, feature="chat", user=committed_cast.alice)
        return run.status, run.error_code

    alice = await in_thread(signed_in, committed_cast.alice)
    said = [await status()]
    for names in ("chat",), (), ("ai",), ():
        await in_thread(alice.post, PAGE, everything_but(*names))
        said.append(await status())

    refused = ("refused", "switched_off")
    assert said == [("ok", ""), refused, ("ok", ""), refused, ("ok", "")]


def upload(cast: Cast, name: str, text: str) -> Document:
    with tenant_context(cast.acme):
        return store(ContentFile(text.encode(), name=name), user=cast.alice)


def now(document: Document) -> tuple[str, int]:
    with tenant_context(Tenant(pk=document.tenant_id)):
        found = Document.objects.get(pk=document.pk)
        return found.status, found.chunk_count


def test_without_ai_words_are_still_found_and_pages_say_so(cast: Cast, media: Path) -> None:
    document = upload(cast, "leave.md", "# Leave\n\nEverybody has thirty days of vacation in a year.\n")
    with tenant_context(cast.acme):
        ingest(document.pk)
    alice = signed_in(cast.alice)
    alice.post(PAGE, everything_but("ai"))

    with tenant_context(cast.acme):
        (hit,) = search("vacation days", user=cast.alice)
        assert (hit.document_id, hit.dense_score) == (document.pk, 0)
        assert search("holidays", user=cast.alice) == []
    with tenant_context(cast.globex):
        assert search("vacation days", user=cast.charlie) == []
    for page in (
        "documents/",
        "search/?q=vacation",
        f"documents/{document.pk}/",
        "runs/",
        "usage/",
        "members/",
        "admin/",
    ):
        assert alice.get(f"/t/acme/{page}").status_code == 200
    for page in ("documents/", "search/?q=vacation"):
        assert "AI is switched off." in alice.get(f"/t/acme/{page}").content.decode()


def test_what_is_uploaded_meanwhile_waits_and_is_taken_up(committed_cast: Cast, media: Path, tasks: list[Any]) -> None:
    cast, alice = committed_cast, signed_in(committed_cast.alice)
    alice.post(PAGE, everything_but("ingest"))
    document = upload(cast, "leave.md", "# Leave\n\nEverybody has thirty days of vacation in a year.\n")

    with tenant_context(cast.acme):
        ingest(document.pk)
    assert now(document) == ("queued", 0)
    assert "Waiting: Indexing of documents is switched off" in alice.get("/t/acme/documents/").content.decode()

    alice.post(PAGE, everything_but())
    assert tasks == [(str(cast.acme.pk), str(document.pk))]
    with tenant_context(cast.acme):
        ingest(document.pk)
    assert now(document) == ("ready", 1)


@operated
def test_what_waited_for_everybodys_switch_is_taken_up(
    committed_cast: Cast, operator: Client, media: Path, tasks: list[Any]
) -> None:
    document = upload(committed_cast, "leave.md", "# Leave\n\nThirty days.\n")
    operator.post(f"{PLATFORM}add/", {"name": "ai", "tenant": "", "note": ""})
    flag = Flag.unscoped.using("platform").get()
    assert tasks == []

    operator.post(f"{PLATFORM}{flag.pk}/delete/", {"post": "yes"})

    assert tasks == [(str(committed_cast.acme.pk), str(document.pk))]


@pytest.fixture
def tasks() -> Any:
    """What is published, as tenant and document."""
    from celery.signals import before_task_publish

    from config.celery import HEADER

    seen: list[Any] = []

    def note(headers: Any = None, body: Any = None, **_: Any) -> None:
        seen.append((headers[HEADER], body[0][0]))

    before_task_publish.connect(note, weak=False)
    yield seen
    before_task_publish.disconnect(note)


# --- Other processes

LOOP = """
import asyncio, os, sys
import django
django.setup()
from apps.runs import execute
from apps.runs.gateway.types import Message, Request
from apps.tenants.context import tenant_context
from apps.tenants.models import Tenant
from uuid import UUID

ask = Request(messages=(Message("user", "Hello?"),), max_output_tokens=20, question="Hello?")

async def main():
    with tenant_context(Tenant(pk=UUID(sys.argv[1]))):
        for line in sys.stdin:
            run = await execute.complete(ask, feature="chat")
            print(run.status, run.error_code, flush=True)

asyncio.run(main())
"""


def test_another_process_knows_with_its_next_call(committed_cast: Cast) -> None:
    """It has made calls before, so it keeps what it has read; nothing but the calls themselves tells it."""
    arguments = [sys.executable, "-c", LOOP, str(committed_cast.acme.pk)]
    alice = signed_in(committed_cast.alice)

    with Popen(arguments, stdin=PIPE, stdout=PIPE, text=True) as process:

        def ask() -> str:
            assert process.stdin and process.stdout
            print("go", file=process.stdin, flush=True)
            return process.stdout.readline().strip()

        said = [ask(), ask()]
        for names in ("chat",), (), ("ai",), ():
            alice.post(PAGE, everything_but(*names))
            said.append(ask())
        assert process.stdin
        process.stdin.close()

    assert said == ["ok", "ok", "refused switched_off", "ok", "refused switched_off", "ok"]
