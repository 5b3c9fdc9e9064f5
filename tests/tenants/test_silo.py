"""A workspace moves into a schema of its own and back, and nobody sees a difference."""

from contextlib import nullcontext

import pytest
from django.core.management import CommandError
from django.db import ProgrammingError, connection, connections, transaction

from apps.chat.models import Conversation
from apps.knowledge.models import Chunk, Document
from apps.knowledge.search import search
from apps.tenants import silo
from apps.tenants.context import schema_of, tenant_context
from apps.tenants.migrate import as_owner, silo_models, silos
from apps.tenants.models import AuditEvent, Tenant, User
from apps.tenants.owned import TenantOwned
from tests.conftest import PASSWORD, Cast, admin, in_a_silo, signed_in

from .forked import Command
from .silos import furnish, in_pool, in_silo, is_empty, leftovers, move

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "platform"])


@pytest.fixture
def furnished(committed_cast: Cast, media: object) -> Cast:
    furnish(committed_cast.acme, committed_cast.alice)
    furnish(committed_cast.globex, committed_cast.charlie, days=25)
    return committed_cast


def test_promotion_and_demotion_keep_every_column_of_every_row(furnished: Cast) -> None:
    acmes, globexs = in_pool(furnished.acme), in_pool(furnished.globex)
    assert all(acmes.values()) and all(globexs.values())

    assert "Acme now has a schema of its own." in move("promote")

    assert in_silo(furnished.acme) == acmes
    assert is_empty(in_pool(furnished.acme))
    assert (in_pool(furnished.globex), silos(), leftovers()) == (globexs, [schema_of(furnished.acme.id)], [])

    assert "Acme is back in the pool." in move("demote")
    assert move("demote") == "Acme already is in the pool.\n"

    assert in_pool(furnished.acme) == acmes
    assert (in_pool(furnished.globex), silos(), leftovers()) == (globexs, [], [])
    with tenant_context(furnished.acme):
        actions = AuditEvent.objects.order_by("at").values_list("action", flat=True)
        assert list(actions)[-2:] == ["workspace.promoted", "workspace.demoted"]


def test_large_tables_are_moved_in_parts(furnished: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.tenants.move.ROWS_AT_ONCE", 1)
    before = in_pool(furnished.acme)

    printed = move("promote")

    assert "knowledge_chunk: 2 of 2 rows" in printed
    assert in_silo(furnished.acme) == before


def test_a_silo_has_the_same_tables_locks_and_grants_as_the_pool(furnished: Cast) -> None:
    move("promote")
    schema = schema_of(furnished.acme.id)
    catalogs = {
        "columns": "SELECT table_name, column_name, data_type, column_default, is_nullable, generation_expression"
        " FROM information_schema.columns WHERE table_schema = %(schema)s AND table_name = ANY(%(tables)s)",
        "indexes": "SELECT tablename, replace(indexdef, %(schema)s || '.', '') FROM pg_indexes"
        " WHERE schemaname = %(schema)s AND tablename = ANY(%(tables)s)",
        "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = to_regnamespace(%(schema)s) AND conrelid::regclass::text = ANY(%(names)s)"
        " AND contype <> 'n'",
        "policies": "SELECT tablename, policyname, roles, cmd, qual, with_check FROM pg_policies"
        " WHERE schemaname = %(schema)s AND tablename = ANY(%(tables)s)",
        "grants": "SELECT relname, relrowsecurity, relforcerowsecurity, relowner::regrole, relacl::text,"
        " array_remove(reloptions, 'autovacuum_enabled=off')"  # a test of search leaves that behind
        " FROM pg_class WHERE relnamespace = to_regnamespace(%(schema)s) AND relname = ANY(%(tables)s)",
        "functions": "SELECT proname, proowner::regrole::text, prosecdef, proacl::text, prosrc FROM pg_proc"
        " WHERE pronamespace = to_regnamespace(%(schema)s) AND proname ~ '^(knowledge|chat)_'",
    }
    tables = [model._meta.db_table for model in silo_models()]
    found: dict[str, dict[str, set[str]]] = {"public": {}, schema: {}}
    with admin() as superuser:
        for home in found:
            superuser.execute(f"SET search_path = {home}, public")
            for what, query in catalogs.items():
                values = {"schema": home, "tables": tables, "names": tables}
                rows = superuser.execute(query, values).fetchall()
                assert rows, what
                found[home][what] = set(map(str, rows))

    for what in catalogs:
        assert found[schema][what] == found["public"][what], what


@in_a_silo
def test_pages_and_search_work_in_a_silo(furnished: Cast) -> None:
    alice, charlie = signed_in(furnished.alice), signed_in(furnished.charlie)
    with tenant_context(furnished.acme):
        document, conversation = Document.objects.get(status="ready"), Conversation.objects.get()
        hits = search("days of paid leave")
    assert hits[0].text == "Acme gives 28 days of paid leave." and hits[0].lexical_score == 1

    pages = {
        "": "Acme&#x27;s leave",
        "documents/": "handbook.md",
        f"documents/{document.id}/": "28 days",
        "search/?q=paid+leave": "28 days of paid leave",
        f"chat/{conversation.id}/": "28 days",
        "runs/": "extractive-1",
    }
    for path, words in pages.items():
        assert words in alice.get(f"/t/acme/{path}").content.decode(), path
        assert charlie.get(f"/t/acme/{path}").status_code == 404
    assert alice.post(f"/t/acme/chat/{conversation.id}/rename/", {"title": "Renamed"}).status_code == 200
    assert alice.post(f"/t/acme/documents/{document.id}/delete/").status_code == 302
    rows = in_silo(furnished.acme)
    assert [row["title"] for (row,) in rows["chat_conversation"]] == ["Renamed"]
    assert rows["knowledge_chunk"] == rows["chat_citation"] == []
    assert is_empty(in_pool(furnished.acme))
    assert "25 days" in charlie.get("/t/globex/search/?q=paid+leave").content.decode()


@in_a_silo
def test_operators_pages_work_with_a_silo(furnished: Cast) -> None:
    operator = signed_in(User.objects.create_superuser("admin@corbel.example", PASSWORD))

    for page in ("tenants/tenant/", "tenants/membership/", "runs/run/"):
        assert "Acme" in operator.get(f"/platform/{page}").content.decode()


@in_a_silo
def test_a_silo_is_isolated_from_raw_sql_too(furnished: Cast) -> None:
    schema = schema_of(furnished.acme.id)
    with tenant_context(furnished.acme):
        chunk = Chunk.objects.first()

    with tenant_context(furnished.globex), connection.cursor() as cursor:
        for model in silo_models():
            cursor.execute(f"SELECT count(*) FROM {schema}.{model._meta.db_table}")
            assert cursor.fetchone() == (0,)
            cursor.execute(f"DELETE FROM {schema}.{model._meta.db_table}")
            assert cursor.rowcount == 0
        cursor.execute(f"SELECT count(*) FROM {schema}.knowledge_lexical_search('garage', 10)")
        assert cursor.fetchone() == (0,)
        with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
            cursor.execute(
                f"INSERT INTO {schema}.chat_conversation (id, tenant_id, user_id, title) VALUES (%s, %s, %s, 'x')",
                [chunk.id, furnished.acme.id, furnished.charlie.id],
            )
    assert not is_empty(in_silo(furnished.acme))


@in_a_silo
def test_the_apps_role_may_not_change_a_silos_tables(furnished: Cast) -> None:
    schema = schema_of(furnished.acme.id)

    for statement in (
        f"DROP SCHEMA {schema} CASCADE",
        f"ALTER SCHEMA {schema} RENAME TO mine",
        f"CREATE TABLE {schema}.mine (id int)",
        f"ALTER TABLE {schema}.chat_message DISABLE ROW LEVEL SECURITY",
        f"TRUNCATE {schema}.chat_message CASCADE",
    ):
        with (
            tenant_context(furnished.acme),
            pytest.raises(ProgrammingError),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)


def test_a_kept_connection_and_a_cached_plan_find_the_other_schema(furnished: Cast) -> None:
    """A web process keeps its connections and what it told them, and so may its driver keep plans."""
    with tenant_context(furnished.acme), connection.cursor() as cursor:
        cursor.execute("SET plan_cache_mode = force_generic_plan")
        cursor.execute(
            "PREPARE titles AS SELECT relnamespace::regnamespace::text, title"
            " FROM chat_conversation t JOIN pg_class c ON c.oid = t.tableoid"
        )
        cursor.execute("PREPARE find AS SELECT count(*) FROM knowledge_lexical_search('garage', 10)")
        told = connection._applied
        for command, schema in [("promote", schema_of(furnished.acme.id)), ("demote", "public")]:
            cursor.execute("EXECUTE titles")
            Command(command, "acme").finish()

            cursor.execute("EXECUTE titles")
            assert cursor.fetchall() == [(schema, "Acme's leave")]
            cursor.execute("EXECUTE find")
            assert cursor.fetchone() == (1,)
            assert connection._applied == told
        cursor.execute("DEALLOCATE ALL")


def test_rows_that_reached_the_pool_all_the_same_are_moved_after_their_tenant(furnished: Cast) -> None:
    move("promote")
    with admin() as superuser:
        superuser.execute(
            "INSERT INTO public.chat_conversation (id, tenant_id, user_id, title)"
            " VALUES (gen_random_uuid(), %s, %s, 'Stray')",
            [furnished.acme.id, furnished.alice.id],
        )

    printed = move("promote")

    assert printed == "  chat_conversation: 1 of 1 rows\nAcme already is a silo.\n"
    with tenant_context(furnished.acme):
        assert set(Conversation.objects.values_list("title", flat=True)) == {"Acme's leave", "Stray"}
    assert is_empty(in_pool(furnished.acme))


def test_what_cannot_be_moved_says_why(furnished: Cast, settings: object) -> None:
    with pytest.raises(CommandError, match=r"There is no workspace at /t/nobody/\."):
        move("promote", "nobody")

    with tenant_context(furnished.acme):
        Tenant.objects.filter(pk=furnished.acme.pk).update(status=Tenant.Status.LEAVING)
    with pytest.raises(CommandError, match="Acme is being deleted"):
        move("promote")

    settings.DATABASE_OWNER = {}
    with pytest.raises(CommandError, match="DATABASE_OWNER_URL is not set"):
        move("promote", "globex")
    assert (silos(), leftovers()) == ([], [])


def test_a_workspace_is_not_moved_by_code_of_another_age(furnished: Cast) -> None:
    with admin() as superuser:
        superuser.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('chat', '0999_later', now())")
    try:
        with pytest.raises(CommandError, match=r"Run `manage.py migrate`"):
            move("promote")
    finally:
        with admin() as superuser:
            superuser.execute("DELETE FROM django_migrations WHERE name = '0999_later'")
    assert (silos(), leftovers()) == ([], [])


def test_everything_a_silo_holds_belongs_to_a_tenant() -> None:
    assert all(issubclass(model, TenantOwned) and model._meta.pk.column == "id" for model in silo_models())


def test_a_leaving_tenants_silo_is_dropped_by_the_apps_role(furnished: Cast) -> None:
    move("promote")
    move("promote", "globex")
    with as_owner():
        silo.create(schema_of(furnished.acme.id) + silo.BUILD)  # a promotion was killed once

    for tenant in (furnished.acme, None):
        with pytest.raises(ProgrammingError, match="only a workspace that is being deleted"), transaction.atomic():
            drop_silo(tenant)
    with tenant_context(furnished.acme):
        Tenant.objects.filter(pk=furnished.acme.pk).update(status=Tenant.Status.LEAVING)
    drop_silo(furnished.acme)
    drop_silo(furnished.acme)  # there is none any more

    assert silos() == [schema_of(furnished.globex.id)]
    assert leftovers() == []
    with connections["platform"].cursor() as cursor, pytest.raises(ProgrammingError, match="permission denied"):
        cursor.execute("SELECT tenants_drop_silo()")


def drop_silo(tenant: Tenant | None) -> None:
    with tenant_context(tenant) if tenant else nullcontext(), connection.cursor() as cursor:
        cursor.execute("SELECT tenants_drop_silo()")
