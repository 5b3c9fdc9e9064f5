"""Pool and silo: a live tenant moves into a schema of its own, and back, while its people go on writing.

    promote   build <schema>__build and copy into it; in one transaction keep writers out, catch up, rename; then
              delete the copies that the pool still has
    demote    in one transaction keep writers out, copy into the pool, rename to <schema>__build; then drop that

At any moment a schema of the tenant's name holds its rows; if there is none, the pool does. What is called __build is
worth nothing, and a silo that is marked COPIES has copies in the pool that are worth nothing. So whenever a command is
killed, the next one begins by putting that away.

No write is lost. A transaction holds its tenant's advisory lock (apps.tenants.backend.base), which is taken here too. A
statement outside a transaction doesn't, but it locks its tables when their names are looked up; made to wait
there, Postgres looks the names up again, and finds the other schema. One that only reads may have looked up the old
table and still reads it: that is left as it is until such readers are gone.

No other transaction dies. Locks on the pool's tables, and on those that foreign keys of a new schema point at, hold up
everybody: each is given up after PATIENCE_MS and asked for again. That is less than Postgres's deadlock_timeout (1 s),
so that we are always the one to yield.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.core.management import call_command
from django.db import OperationalError, connection, transaction
from psycopg import IsolationLevel, errors, sql

from config.roles import grants

from .audit import record
from .context import schema_of, tenant_context
from .migrate import histories, silo_models, silos, tenant_labels
from .models import Tenant
from .move import Immovable, Move, Report, execute, tables

BUILD = "__build"
COPIES = "the pool still has copies of these rows"
PATIENCE_MS = 500
GIVE_UP_AFTER_S = 60
READERS_PASS_WITHIN_S = 1


def promote(tenant: Tenant, *, report: Report = str) -> bool:
    """Move the tenant from the pool into a schema of its own. Needs `as_owner()`. Raises Immovable.

    report: called with lines of progress.
    Returns False if it had one already; what the pool holds of it all the same is moved there.
    """
    schema = schema_of(tenant.id)
    with scratch(tenant) as build:
        if schema in silos():
            gather(tenant, report)
            return False
        refuse_if_leaving(tenant)
        create(build)
        refuse_unless_migrated(build)
        move = Move(tenant, "public", build)
        with tenant_context(tenant), one_snapshot():
            move.remember_versions()
            move.copy(report)
        execute(sql.SQL("VACUUM (ANALYZE) {}").format(tables(build)))
        with tenant_context(tenant), transaction.atomic():
            keep_writers_out(tenant, "public")
            refuse_if_leaving(tenant)
            move.catch_up()
            rename(build, schema)
            mark(schema, COPIES)
            record("workspace.promoted", tenant)
        delete_copies(tenant)
    return True


def demote(tenant: Tenant, *, report: Report = str) -> bool:
    """Move the tenant back into the pool. Needs `as_owner()`. Raises Immovable. Returns False if it was there."""
    schema = schema_of(tenant.id)
    with scratch(tenant) as build:
        if schema not in silos():
            return False
        refuse_unless_migrated(schema)
        with tenant_context(tenant), transaction.atomic():
            keep_writers_out(tenant, schema)
            refuse_if_leaving(tenant)
            Move(tenant, schema, "public").copy(report)
            rename(schema, build)
            record("workspace.demoted", tenant)
    return True


def gather(tenant: Tenant, report: Report) -> None:
    """Move what the pool holds of a tenant with a silo after it. There is nothing, unless somebody wrote past the
    application, or served the tenant with a silo that lacked a table."""
    move = Move(tenant, "public", schema_of(tenant.id))
    with tenant_context(tenant), transaction.atomic():
        if move.is_source_empty():
            return
        keep_writers_out(tenant, "public")
        move.copy(report)
        move.empty_source()


@contextmanager
def scratch(tenant: Tenant) -> Iterator[str]:
    """The name of a schema that is worth nothing and isn't there, before and after. Nor is what was left undone."""
    schema = schema_of(tenant.id)
    drop(tenant, schema + BUILD)
    if is_marked(schema, COPIES):
        delete_copies(tenant)
    try:
        yield schema + BUILD
    finally:
        drop(tenant, schema + BUILD)


def create(schema: str) -> None:
    """A schema with the tables of a silo, without rows."""
    execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    execute(grants(schema))
    # Other apps' migrations do nothing here, and Django takes its time to find that out.
    query = """
        CREATE TABLE {table} (LIKE public.django_migrations INCLUDING ALL);
        INSERT INTO {table} (app, name, applied)
        SELECT app, name, applied FROM public.django_migrations WHERE app <> ALL({apps}) ORDER BY id;
    """
    table = sql.Identifier(schema, "django_migrations")
    execute(sql.SQL(query).format(table=table, apps=sql.Literal(tenant_labels())))

    def migrate() -> None:
        execute(f"SET lock_timeout = {PATIENCE_MS}")
        call_command("migrate_schemas", schema_name=schema, interactive=False, verbosity=0)

    try:
        patiently(migrate)  # it goes on with the migration that could not wait
    finally:
        connection.set_schema_to_public()  # type: ignore[attr-defined]


def drop(tenant: Tenant, build: str) -> None:
    def step() -> None:
        # Inside, the tenant's lock is held: a command whose process was killed may still be about to rename.
        with tenant_context(tenant), transaction.atomic():
            execute(f"SET LOCAL lock_timeout = {PATIENCE_MS}; SET LOCAL client_min_messages = warning")
            execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(build)))

    patiently(step)


def delete_copies(tenant: Tenant) -> None:
    let_readers_pass()
    with tenant_context(tenant), transaction.atomic():
        Move(tenant, "public", schema_of(tenant.id)).empty_source()
        mark(schema_of(tenant.id), None)


def refuse_if_leaving(tenant: Tenant) -> None:
    with tenant_context(tenant):
        status = Tenant.objects.filter(pk=tenant.pk).values_list("status", flat=True).first()
    if status in (None, Tenant.Status.LEAVING):
        raise Immovable(f"{tenant.name} is being deleted. There is nothing to move.")


def refuse_unless_migrated(schema: str) -> None:
    had = histories(["public", schema])
    if had["public"] != had[schema]:
        raise Immovable("The database doesn't have the migrations of this code. Run `manage.py migrate`, then again.")


@contextmanager
def one_snapshot() -> Iterator[None]:
    """A transaction in which all statements see the same rows, those committed at its beginning."""
    connection.ensure_connection()
    connection.connection.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with transaction.atomic():
            yield
    finally:
        if connection.connection:
            connection.connection.isolation_level = None


def keep_writers_out(tenant: Tenant, schema: str) -> None:
    """Until the transaction ends: no transaction of the tenant, and nobody who writes into the tables of `schema`.

    Raises Immovable if others hold them for a minute.
    """
    lock = sql.SQL("LOCK TABLE {} IN {} MODE")

    def take() -> None:
        with transaction.atomic():
            execute(f"SET LOCAL statement_timeout = {PATIENCE_MS}")
            execute(sql.SQL("SELECT pg_advisory_xact_lock(hashtextextended({}, 0))").format(str(tenant.id)))
            execute(lock.format(tables(schema), sql.SQL("SHARE ROW EXCLUSIVE")))
            execute("SET LOCAL statement_timeout TO DEFAULT")

    # First one that excludes no writer and so may wait for long: an autovacuum gives way after a second.
    execute(lock.format(tables(schema), sql.SQL("SHARE UPDATE EXCLUSIVE")))
    patiently(take)


def patiently(step: Callable[[], None]) -> None:
    """Do `step`, again whenever it gave up waiting for a lock. Raises Immovable after a minute."""
    deadline, pause_s = time.monotonic() + GIVE_UP_AFTER_S, 0.1
    while True:
        try:
            return step()
        except OperationalError as error:
            gave_up = (errors.LockNotAvailable, errors.QueryCanceled, errors.DeadlockDetected)
            if not isinstance(error.__cause__, gave_up):
                raise
            if time.monotonic() > deadline:
                raise Immovable("Others held the tables' locks for a minute. Try again at a quieter time.") from error
        time.sleep(pause_s)
        pause_s = min(2, 2 * pause_s)


def let_readers_pass() -> None:
    """Wait for the statements that now use the pool's tables: they may have looked them up before a silo was there.

    What takes longer than a second has begun to read long ago and sees what it saw then.
    """
    deadline = time.monotonic() + READERS_PASS_WITHIN_S
    readers = users_of_pool()
    while readers & users_of_pool() and time.monotonic() < deadline:
        time.sleep(0.02)


def users_of_pool() -> set[str]:
    """Who holds locks on the pool's tables: virtual transaction ids, another one for each statement or transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT virtualtransaction FROM pg_locks WHERE pid <> pg_backend_pid() AND relation = ANY(%s::regclass[])",
            [[f"public.{model._meta.db_table}" for model in silo_models()]],
        )
        return {holder for (holder,) in cursor.fetchall()}


def rename(schema: str, name: str) -> None:
    execute(sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(sql.Identifier(schema), sql.Identifier(name)))


def mark(schema: str, note: str | None) -> None:
    execute(sql.SQL("COMMENT ON SCHEMA {} IS {}").format(sql.Identifier(schema), sql.Literal(note)))


def is_marked(schema: str, note: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT obj_description(to_regnamespace(%s)::oid, 'pg_namespace')", [schema])
        return cursor.fetchone()[0] == note
