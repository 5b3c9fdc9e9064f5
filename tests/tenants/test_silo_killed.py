"""A promotion or demotion that is killed loses nothing, and the next one goes to the end.

Each is stopped at a place we choose by a lock that the test holds, and killed there.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.core.management import CommandError

from apps.chat.models import Citation
from apps.tenants.context import schema_of, tenant_context
from apps.tenants.migrate import silos
from apps.tenants.models import Tenant
from tests.conftest import Cast, admin

from .forked import Command
from .silos import Rows, furnish, in_pool, in_silo, is_empty, leftovers, move, until_it_waits

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "platform"])

Hold = Callable[[psycopg.Connection, Tenant], object]


@contextmanager
def held(hold: Hold, tenant: Tenant) -> Iterator[psycopg.Connection]:
    """A transaction that holds something, until it is left."""
    with admin() as connection:
        connection.autocommit = False
        hold(connection, tenant)
        yield connection
        connection.rollback()


def users_table(connection: psycopg.Connection, tenant: Tenant) -> None:
    connection.execute("LOCK TABLE tenants_user IN ROW EXCLUSIVE MODE")


def users_table_for_reading(connection: psycopg.Connection, tenant: Tenant) -> None:
    connection.execute("LOCK TABLE tenants_user IN ACCESS SHARE MODE")


def users(connection: psycopg.Connection, tenant: Tenant) -> None:
    connection.execute("SELECT FROM tenants_user FOR UPDATE")


def transaction_of_the_tenant(connection: psycopg.Connection, tenant: Tenant) -> None:
    connection.execute("SELECT pg_advisory_xact_lock_shared(hashtextextended(%s, 0))", [str(tenant.id)])


def citations(connection: psycopg.Connection, tenant: Tenant) -> None:
    connection.execute("SELECT FROM public.chat_citation FOR UPDATE")


def name_of_the_schema(schema: str) -> Hold:
    """Its row in the catalog has been changed by a transaction that is still open."""
    return lambda connection, tenant: connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO corbel_app")


def kill_where_it_waits(command: str, tenant: Tenant, hold: Hold, for_what: str) -> None:
    with held(hold, tenant):
        process = Command(command, "acme")
        until_it_waits(for_what)
        process.kill()


def kill_before_renaming(command: str, tenant: Tenant, schema: str) -> None:
    """The schema to be renamed is there when the command waits for writers, and everything is moved when it renames."""
    with held(transaction_of_the_tenant, tenant) as writer:
        process = Command(command, "acme")
        until_it_waits("advisory")
        with held(name_of_the_schema(schema), tenant):
            writer.rollback()
            until_it_waits("transactionid")
            process.kill()


def seen(tenant: Tenant) -> list[str]:
    with tenant_context(tenant):
        return list(Citation.objects.values_list("message__text", flat=True))


@pytest.fixture
def rows(committed_cast: Cast, media: object) -> Rows:
    """Acme's, which has as many as Globex."""
    furnish(committed_cast.acme, committed_cast.alice)
    furnish(committed_cast.globex, committed_cast.charlie)
    return in_pool(committed_cast.acme)


def test_a_promotion_killed_in_each_of_its_steps(committed_cast: Cast, rows: Rows) -> None:
    acme, globexs = committed_cast.acme, in_pool(committed_cast.globex)
    for hold, for_what in [
        (users_table, "relation"),  # the tables' foreign keys can't be made
        (users, "transactionid"),  # all is copied and can't be committed
        (transaction_of_the_tenant, "advisory"),  # all is copied, and somebody writes
    ]:
        kill_where_it_waits("promote", acme, hold, for_what)
        assert in_pool(acme) == rows and silos() == [] and seen(acme) == ["28 days [1]."]

    kill_before_renaming("promote", acme, schema_of(acme.id) + "__build")
    assert in_pool(acme) == rows and silos() == [] and seen(acme) == ["28 days [1]."]
    assert len(leftovers()) == 1

    kill_where_it_waits("promote", acme, citations, "transactionid")  # it is a silo, and the copies can't be deleted
    assert in_silo(acme) == rows == in_pool(acme) and seen(acme) == ["28 days [1]."]
    with tenant_context(acme):
        Citation.objects.all().delete()  # it must not come back from there

    assert move("promote") == "Acme already is a silo.\n"
    assert in_silo(acme) == {**rows, "chat_citation": []}
    assert is_empty(in_pool(acme))
    assert leftovers() == []
    assert in_pool(committed_cast.globex) == globexs


def test_a_demotion_killed_in_each_of_its_steps(committed_cast: Cast, rows: Rows) -> None:
    acme, globexs = committed_cast.acme, in_pool(committed_cast.globex)
    move("promote")
    kill_where_it_waits("demote", acme, transaction_of_the_tenant, "advisory")  # somebody writes
    assert in_silo(acme) == rows and is_empty(in_pool(acme)) and seen(acme) == ["28 days [1]."]

    kill_before_renaming("demote", acme, schema_of(acme.id))
    assert in_silo(acme) == rows and is_empty(in_pool(acme)) and seen(acme) == ["28 days [1]."]

    kill_where_it_waits("demote", acme, users_table_for_reading, "relation")  # the empty schema can't be dropped
    assert in_pool(acme) == rows and silos() == [] and seen(acme) == ["28 days [1]."]
    assert len(leftovers()) == 1

    assert move("demote") == "Acme already is in the pool.\n"
    assert leftovers() == []
    assert in_pool(committed_cast.globex) == globexs


def test_what_the_server_still_commits_for_a_killed_command_is_waited_for(committed_cast: Cast, rows: Rows) -> None:
    move("promote")
    kill_where_it_waits("demote", committed_cast.acme, users, "transactionid")  # in its commit, checking foreign keys

    assert move("demote") == "Acme already is in the pool.\n"

    assert in_pool(committed_cast.acme) == rows
    assert (silos(), leftovers()) == ([], [])


def test_two_operators_take_turns(committed_cast: Cast, rows: Rows) -> None:
    with held(transaction_of_the_tenant, committed_cast.acme):
        first = Command("promote", "acme")
        until_it_waits("advisory")
        second = Command("promote", "acme")
        assert second.pipe.poll(0) is False
    printed = sorted(each.finish().splitlines()[-1] for each in (first, second))

    assert printed[0] == "Acme already is a silo."
    assert printed[1].startswith("Acme now has a schema of its own.")
    assert in_silo(committed_cast.acme) == rows
    assert leftovers() == []


def test_whoever_holds_the_tables_for_long_is_not_disturbed(
    committed_cast: Cast, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.tenants.silo.GIVE_UP_AFTER_S", 0)
    with held(transaction_of_the_tenant, committed_cast.acme) as writer:
        with pytest.raises(CommandError, match="Try again at a quieter time"):
            move("promote")
        assert writer.execute("SELECT 1").fetchone() == (1,)

    assert in_pool(committed_cast.acme) == rows
    assert (silos(), leftovers()) == ([], [])
