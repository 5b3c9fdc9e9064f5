"""Moving between pool and silo, for tests: the commands, a workspace with something of everything, and its rows."""

import time
from io import StringIO
from typing import Any

from django.core.files.base import ContentFile
from django.core.management import call_command
from psycopg import sql

from apps.chat.models import Citation, Conversation, EvalCase, EvalReport, Feedback, Message
from apps.knowledge.add import store
from apps.knowledge.ingest import ingest
from apps.knowledge.models import Chunk
from apps.runs.models import Run
from apps.tenants.context import schema_of, tenant_context
from apps.tenants.migrate import silo_models
from apps.tenants.models import Tenant, User
from tests.conftest import admin

HANDBOOK = (
    "# Handbook\n\n## Leave\n\n{name} gives {days} days of paid leave.\n\n## Parking\n\nThe garage opens at six.\n"
)

Rows = dict[str, list[Any]]


def furnish(tenant: Tenant, user: User, days: int = 28) -> None:
    """A read document, one that failed, and a conversation whose answer cites, is rated and made a case."""
    with tenant_context(tenant):
        text = HANDBOOK.format(name=tenant.name, days=days)
        ingest(store(ContentFile(text.encode(), name="handbook.md"), user=user).id)
        store(ContentFile(b"Plain.", name="plain.txt"), user=None).fail("password", "It is locked.", "Unlock it.")
        chunk = Chunk.objects.order_by("position").first()
        conversation = Conversation.objects.create(user=user, title=f"{tenant.name}'s leave")
        run = Run.objects.create(user=user, feature="chat", provider="offline", model="extractive-1")
        question = Message.objects.create(conversation=conversation, role="user", text="How many days?")
        answer = Message.objects.create(
            conversation=conversation, role="assistant", text=f"{days} days [1].", in_reply_to=question, run=run
        )
        Citation.objects.create(
            message=answer,
            document=chunk.document,
            chunk_id=chunk.id,
            number=1,
            heading=chunk.heading,
            quote=chunk.text,
        )
        Feedback.objects.create(message=answer, run=run, rating=1, comment="Right.")
        EvalCase.objects.create(message=answer, run=run, question="How many days?", contains=[str(days)], made_by=user)
        EvalReport.objects.create(day="2026-11-20", revision="abc", scores={"grounded": {"n": 1, "values": [1]}})


def rows_in(schema: str, tenant: Tenant) -> Rows:
    """Every column of every row of the tenant's that `schema` holds, by table; empty if there is no such schema."""
    with admin() as connection:
        if not connection.execute("SELECT to_regnamespace(%s)", [schema]).fetchone()[0]:
            return {}
        return {
            model._meta.db_table: connection.execute(
                sql.SQL("SELECT to_jsonb(t) FROM {} t WHERE tenant_id = %s ORDER BY id").format(
                    sql.Identifier(schema, model._meta.db_table)
                ),
                [tenant.id],
            ).fetchall()
            for model in silo_models()
        }


def in_pool(tenant: Tenant) -> Rows:
    return rows_in("public", tenant)


def in_silo(tenant: Tenant) -> Rows:
    return rows_in(schema_of(tenant.id), tenant)


def is_empty(rows: Rows) -> bool:
    return not any(rows.values())


def leftovers() -> list[str]:
    """Schemas that are worth nothing, and silos whose copies are still in the pool."""
    with admin() as connection:
        found = connection.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname ~ '^t_[0-9a-f]{32}' AND"
            " (nspname ~ '__build$' OR obj_description(oid, 'pg_namespace') IS NOT NULL)"
        ).fetchall()
    return [name for (name,) in found]


def move(command: str, slug: str = "acme") -> str:
    """Run `promote` or `demote` in this process; returns what it printed."""
    out = StringIO()
    call_command(command, slug, stdout=out)
    return out.getvalue()


def until_it_waits(for_what: str) -> None:
    """Until the owner's session waits for a lock of this kind: "relation", "advisory" or "transactionid"."""
    deadline = time.monotonic() + 60
    waiting = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE usename = 'corbel_owner'"
    with admin() as connection:
        while not connection.execute(waiting + " AND NOT granted AND locktype = %s", [for_what]).fetchone()[0]:
            assert time.monotonic() < deadline, f"it never waited for a {for_what} lock"
            time.sleep(0.02)
