"""A new migration reaches the pool and every silo, and nobody is served while one lacks it."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from apps.tenants.checks import refuse_to_serve, silos_are_migrated
from apps.tenants.context import schema_of, tenant_context
from apps.tenants.migrate import silos
from tests.conftest import Cast, admin, in_a_silo

from .silos import move

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "platform"])

LATER = """
from django.db import migrations
from apps.tenants.rls import Isolate

class Migration(migrations.Migration):
    dependencies = [("chat", "{last}")]
    operations = [
        migrations.RunSQL(
            "CREATE TABLE chat_later (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), tenant_id uuid, note text)",
            "DROP TABLE chat_later",
        ),
        Isolate("chat_later"),
    ]
"""


@pytest.fixture
def later(committed_cast: Cast, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A later migration of chat's, beside the real ones. It is undone at the end."""
    last = max(name for app, name in MigrationLoader(None).disk_migrations if app == "chat")
    package = tmp_path / "chat_and_later"
    package.mkdir()
    (package / "__init__.py").write_text("import apps.chat.migrations\n__path__ += apps.chat.migrations.__path__\n")
    (package / "9999_later.py").write_text(LATER.format(last=last))
    monkeypatch.syspath_prepend(tmp_path)
    settings.MIGRATION_MODULES = {"chat": package.name}
    yield "chat.9999_later"
    call_command("migrate", "chat", last, verbosity=0)
    for name in [name for name in sys.modules if name.startswith(package.name)]:
        del sys.modules[name]


def faults() -> list[str]:
    return [f"{error.id}: {error.msg} {error.hint}" for error in silos_are_migrated(databases=["default"])]


@in_a_silo
def test_a_migration_reaches_the_pool_and_every_silo(committed_cast: Cast, later: str) -> None:
    schema = schema_of(committed_cast.acme.id)

    call_command("migrate", verbosity=0)

    assert (faults(), silos()) == ([], [schema])  # Globex is pooled, and no schema was made for it
    for tenant in (committed_cast.acme, committed_cast.globex):
        with tenant_context(tenant), connection.cursor() as cursor:
            cursor.execute("INSERT INTO chat_later (tenant_id, note) VALUES (%s, %s)", [tenant.id, tenant.name])
    with admin() as superuser:
        assert superuser.execute(f"SELECT note FROM {schema}.chat_later").fetchall() == [("Acme",)]
        assert superuser.execute("SELECT note FROM public.chat_later").fetchall() == [("Globex",)]


@in_a_silo
def test_nobody_is_served_while_a_silo_lacks_a_migration(committed_cast: Cast, later: str) -> None:
    assert faults() == []
    refuse_to_serve()

    call_command("migrate", shared=True, verbosity=0)

    schema = schema_of(committed_cast.acme.id)
    assert faults() == [
        f"tenants.E002: The schema {schema}, a workspace's own, lacks {later}. Run `manage.py migrate`."
    ]
    with pytest.raises(SystemExit, match=f"{schema}.*{later}"):
        refuse_to_serve()


def test_nobody_is_served_while_a_silo_lacks_a_table(committed_cast: Cast) -> None:
    move("promote")
    schema = schema_of(committed_cast.acme.id)
    with admin() as superuser:
        superuser.execute(f"DROP TABLE {schema}.chat_citation")

    assert faults() == [
        f"tenants.E002: The schema {schema}, a workspace's own, lacks chat_citation. Run `manage.py migrate`."
    ]


@pytest.mark.pool_and_silo
def test_the_check_costs_three_queries_with_silos_and_one_without(
    committed_cast: Cast, kind: str, django_assert_num_queries: Any
) -> None:
    connection.ensure_connection()

    with django_assert_num_queries({"pool": 1, "silo": 3}[kind]):
        assert silos_are_migrated(databases=["default"]) == []
