"""Who is acting is right on every connection, however few there are and however they are shared.

Threads and coroutines take turns at three connections of our own pool; then a pooler in transaction mode stands
between, which gives a client another server after each transaction.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import DataError, NotSupportedError, connection, connections, transaction
from psycopg import sql
from psycopg.conninfo import make_conninfo

from apps.runs.models import Run
from apps.tenants.context import tenant_context
from apps.tenants.models import Tenant
from apps.tenants.threads import in_thread

from .pooler import Pooler, pooler
from .report import tried
from .stage import default_connecting
from .world import Side, World

LOOKS = 240
THREADS = 8


@pytest.fixture
def few(world: World) -> Iterator[None]:
    with default_connecting({"pool": {"min_size": 1, "max_size": 3, "timeout": 30}}):
        yield


@pytest.fixture
def shared(world: World) -> Iterator[Pooler]:
    """Two servers for everybody, signed in as the application's role."""
    known = connections["default"].settings_dict
    conninfo = make_conninfo(
        dbname=known["NAME"],
        user=known["USER"],
        password=known["PASSWORD"],
        host=known["HOST"],
        port=known["PORT"],
        options="-c timezone=UTC",
        sslmode="disable",  # the pooler reads what is said
        gssencmode="disable",
    )
    with pooler(conninfo, servers=2) as running:
        yield running


@contextmanager
def behind(shared: Pooler, *, told: bool) -> Iterator[None]:
    """The default alias through the pooler; `told` is what DATABASE_POOLER=transaction sets."""
    with default_connecting({"transaction_pooler": told}, HOST="127.0.0.1", PORT=str(shared.port)):
        yield


def seen() -> set[Any]:
    """The tenants whose rows a query without a condition finds, and who the connection says is acting."""
    tenants = set(Run.unscoped.values_list("tenant_id", flat=True))
    with connection.cursor() as cursor:
        cursor.execute("SELECT nullif(current_setting('app.tenant_id', true), '')::uuid")
        return tenants | {cursor.fetchone()[0]}


def seen_in_a_transaction() -> set[Any]:
    with transaction.atomic():
        return seen()


def wrong_of(world: World, look: Callable[[], set[Any]], *, closes: bool) -> int:
    """How many of LOOKS in THREADS threads didn't see exactly their own tenant."""
    sides = (world.acme.tenant, world.globex.tenant)

    def looks_wrong(number: int) -> bool:
        tenant = sides[number % 2]
        with tenant_context(tenant):
            found = look()
        if closes:
            connection.close()
        return found != {tenant.pk}

    def end() -> None:
        connection.close()

    with ThreadPoolExecutor(THREADS) as threads:
        wrong = sum(threads.map(looks_wrong, range(LOOKS)))
        list(threads.map(lambda _: end(), range(THREADS * 4)))
    return wrong


@pytest.mark.parametrize("look", [seen, seen_in_a_transaction])
def test_threads_that_share_few_connections_see_their_own(world: World, few: None, look: Any) -> None:
    tried("connections", "lookups by threads", LOOKS)

    assert wrong_of(world, look, closes=True) == 0


@pytest.mark.parametrize("look", [seen, seen_in_a_transaction])
async def test_coroutines_that_share_few_connections_see_their_own(world: World, few: None, look: Any) -> None:
    async def looks_wrong(tenant: Tenant) -> bool:
        with tenant_context(tenant):
            await asyncio.sleep(0)
            return await in_thread(look) != {tenant.pk}

    sides = (world.acme.tenant, world.globex.tenant)
    wrong = await asyncio.gather(*(looks_wrong(sides[number % 2]) for number in range(LOOKS)))
    tried("connections", "lookups by coroutines", LOOKS)

    assert sum(wrong) == 0


def test_a_cursor_that_stays_open_follows_who_is_acting(world: World) -> None:
    with connection.cursor() as cursor:
        found = []
        for side in (world.acme, world.globex):
            with tenant_context(side.tenant):
                cursor.execute("SELECT DISTINCT tenant_id FROM runs_run")
                found += cursor.fetchall()
        cursor.execute("SELECT DISTINCT tenant_id FROM runs_run")
        found += cursor.fetchall()

    assert found == [(world.acme.tenant.pk,), (world.globex.tenant.pk,)]


def test_a_broken_statement_leaves_the_outer_tenant_acting(world: World) -> None:
    with tenant_context(world.acme.tenant), transaction.atomic():
        with pytest.raises(DataError), transaction.atomic(), tenant_context(world.globex.tenant):
            assert seen() == {world.globex.tenant.pk}
            Run.unscoped.extra(where=["1 / 0 = 1"]).count()

        assert seen() == {world.acme.tenant.pk}


# --- Behind a pooler in transaction mode


@pytest.mark.parametrize(
    ("told", "look"), [(True, seen), (True, seen_in_a_transaction), (False, seen_in_a_transaction)]
)
def test_behind_a_pooler_everybody_sees_their_own(world: World, shared: Pooler, told: bool, look: Any) -> None:
    with behind(shared, told=told):
        tried("connections", "lookups behind a pooler", LOOKS)

        assert wrong_of(world, look, closes=False) == 0


def test_behind_a_pooler_that_nobody_told_us_of_statements_go_astray(world: World, shared: Pooler) -> None:
    """Else the pooler of these tests would prove nothing. What they leave in its sessions misleads nobody told."""
    with behind(shared, told=False):
        assert wrong_of(world, seen, closes=False) > 0
    with behind(shared, told=True):
        assert wrong_of(world, seen, closes=False) == 0


@pytest.fixture
def pooled(world: World, shared: Pooler) -> Iterator[Side]:
    with behind(shared, told=True), tenant_context(world.acme.tenant):
        yield world.acme


def test_behind_a_pooler_a_statement_is_one_message(pooled: Side, shared: Pooler) -> None:
    seen()
    before = shared.asked

    assert Run.unscoped.count() == 1
    assert shared.asked == before + 1


def test_behind_a_pooler_statements_of_every_kind_work(pooled: Side) -> None:
    """Reads and writes, with parameters and without, a percent sign in either; and nothing lasts."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT '100%' WHERE 5 % 3 = 2")
        assert cursor.fetchall() == [("100%",)]
        cursor.execute("SELECT %s::text, '100%%' AS whole", ["50%"])
        assert ([column.name for column in cursor.description], cursor.fetchone()) == (
            ["text", "whole"],
            ("50%", "100%"),
        )
        cursor.execute(sql.SQL("SELECT {}::int").format(7))
        assert cursor.fetchone() == (7,)
        cursor.execute("UPDATE runs_run SET feature = feature")
        assert cursor.rowcount == 1
        cursor.execute("SELECT 1; SELECT 2")
        assert (cursor.fetchone(), cursor.nextset(), cursor.fetchone()) == ((1,), True, (2,))
        with pytest.raises(DataError):
            cursor.execute("SELECT 1 / 0")
        cursor.execute("SELECT count(*) FROM runs_run")
        assert cursor.fetchone() == (1,)
    assert connection.connection.execute("SELECT current_setting('app.tenant_id', true)").fetchone()[0] in (None, "")


def test_behind_a_pooler_what_needs_a_transaction_says_so(pooled: Side) -> None:
    def copy(cursor: Any) -> int:
        with cursor.copy("COPY runs_run (id) TO STDOUT") as rows:
            return len(list(rows))

    def many(cursor: Any) -> int:
        cursor.executemany("UPDATE runs_run SET feature = %s", [["a"], ["b"]])
        return cursor.rowcount

    def stream(cursor: Any) -> int:
        return len(list(cursor.stream("SELECT 1")))

    for what in (copy, many, stream):
        with connection.cursor() as cursor, pytest.raises(NotSupportedError, match=r"transaction\.atomic"):
            what(cursor)
        with transaction.atomic(), connection.cursor() as cursor:
            assert what(cursor) > 0
            transaction.set_rollback(True)
    with pytest.raises(NotSupportedError, match=r"transaction\.atomic"):
        connection.chunked_cursor()
