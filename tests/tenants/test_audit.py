"""The audit log: what is written into it, and that nobody changes it."""

import ast
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.db import ProgrammingError, connections, transaction

from apps.chat.models import Conversation
from apps.knowledge.add import remove, requeue, store
from apps.tenants import deeds
from apps.tenants.audit import record
from apps.tenants.context import tenant_context
from apps.tenants.models import AuditEvent
from tests.conftest import ROOT, Cast, admin, signed_in

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"


# --- What is recorded


def test_documents_leave_a_trail_whoever_handles_them(cast: Cast, media: Path) -> None:
    with tenant_context(cast.acme):
        document = store(ContentFile(b"Some text.", name="leave_policy.txt"), user=None)
        document.fail("x", "x", "x")
        requeue(document)
        remove(document)
        events = list(AuditEvent.objects.filter(action__startswith="document").order_by("at", "id"))

    assert {event.action for event in events} == {"document.added", "document.retried", "document.removed"}
    assert {event.target_name for event in events} == {"leave policy"}


def test_an_upload_says_who_and_from_where(cast: Cast, media: Path) -> None:
    upload = {"files": ContentFile(b"Some text.", name="leave.txt")}
    signed_in(cast.bob).post(
        "/t/acme/documents/upload/", upload, REMOTE_ADDR="203.0.113.7", headers={"User-Agent": CHROME}
    )

    with tenant_context(cast.acme):
        event = AuditEvent.objects.get(action="document.added")
    assert (event.actor, event.actor_email, event.ip) == (cast.bob, "bob@acme.example", "203.0.113.7")
    assert (event.user_agent, deeds.where(event)) == (CHROME, "Chrome on Linux")


def test_a_deed_that_fails_is_not_recorded(cast: Cast, media: Path) -> None:
    with tenant_context(cast.acme):
        first = store(ContentFile(b"Same bytes.", name="a.txt"), user=None)
        store(ContentFile(b"Same bytes.", name="b.txt"), user=None)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            remove(first)
            raise ZeroDivisionError

        assert list(AuditEvent.objects.filter(action__startswith="doc").values_list("action", flat=True)) == [
            "document.added"
        ]


def test_a_deleted_conversation_keeps_its_title_to_itself(cast: Cast) -> None:
    with tenant_context(cast.acme):
        conversation = Conversation.objects.create(user=cast.bob, title="My raise")

    signed_in(cast.bob).post(f"/t/acme/chat/{conversation.id}/delete/")

    with tenant_context(cast.acme):
        event = AuditEvent.objects.get(action="conversation.deleted")
    assert (event.actor, event.target_name) == (cast.bob, "")
    assert event.details == {"conversation": str(conversation.id)}


def test_every_action_that_the_code_records_reads_as_a_sentence() -> None:
    recorded, named = set(), set()
    for path in (ROOT / "apps").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "record":
                recorded |= strings(node.args[0])
            elif isinstance(node, ast.Call):
                named |= strings(node)

    assert {action for action in recorded if "." in action} <= deeds.SENTENCES.keys() <= recorded | named


def strings(node: ast.AST) -> set[str]:
    return {str(part.value) for part in ast.walk(node) if isinstance(part, ast.Constant)}


# --- Who may change it: nobody


@pytest.mark.django_db(transaction=True, databases=["default", "platform"])
@pytest.mark.parametrize("alias", ["default", "platform"])
def test_the_database_refuses_every_change(committed_cast: Cast, alias: str) -> None:
    with tenant_context(committed_cast.acme):
        for statement in (
            "UPDATE tenants_auditevent SET action = 'nothing.happened'",
            "DELETE FROM tenants_auditevent",
            "TRUNCATE tenants_auditevent",
        ):
            with (
                pytest.raises(ProgrammingError, match="permission denied"),
                transaction.atomic(using=alias),
                connections[alias].cursor() as cursor,
            ):
                cursor.execute(statement)

    with admin() as connection:
        assert connection.execute("SELECT count(*) FROM tenants_auditevent").fetchone() == (2,)


def test_nothing_is_written_into_anothers_log(cast: Cast) -> None:
    with tenant_context(cast.globex), pytest.raises(ProgrammingError, match="row-level"), transaction.atomic():
        AuditEvent.objects.create(tenant=cast.acme, action="member.removed")


def test_another_tenants_log_is_not_there_for_raw_sql(cast: Cast) -> None:
    with tenant_context(cast.globex):
        record("document.added", cast.globex, secret="Globex's own")

    with tenant_context(cast.acme), connections["default"].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM tenants_auditevent WHERE tenant_id = %s", [cast.globex.id])
        assert cursor.fetchone() == (0,)
        assert "Globex's own" not in str(list(AuditEvent.unscoped.values_list("details", flat=True)))
