"""What Postgres itself refuses, asked in SQL by the role that web and workers have."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from tests.conftest import admin

from . import catalog
from .driver import acting
from .report import tried
from .world import Side, World

# Rows of other tenants that anybody may read, and why that is right: the table, and what holds for such a row.
PUBLIC = {"tenants_domain": "verified_at IS NOT NULL"}  # a host name leads somewhere before there is a tenant


@pytest.fixture(scope="module")
def in_silos(world: World) -> Iterator[None]:
    """The tenants' rows, in the tables of silos too: whose a schema is must not be what protects them."""
    with admin() as superuser, superuser.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        silos = [table for table in catalog.tables(cursor) if table[1] != "public"]
        for oid, schema, name, _ in silos:
            cursor.execute(catalog.WRITABLE, [oid])
            columns = sql.SQL(", ").join(sql.Identifier(column) for (column,) in cursor.fetchall())
            copy = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {}")
            cursor.execute(copy.format(sql.Identifier(schema, name), columns, columns, sql.Identifier("public", name)))
        yield
        for _, schema, name, _ in silos:
            cursor.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(schema, name)))


def row_of(oid: int, schema: str, table: str, column: str, side: Side) -> tuple[dict[str, Any], list[str]]:
    """One of the side's rows as a superuser sees it, and the names of the columns that can be written."""
    with admin() as superuser:
        found = superuser.execute(
            sql.SQL("SELECT to_jsonb(t) FROM {} t WHERE {} = %s LIMIT 1").format(
                sql.Identifier(schema, table), sql.Identifier(column)
            ),
            [side.tenant.pk],
        ).fetchone()
        names = superuser.execute(catalog.WRITABLE, [oid]).fetchall()
    assert found, f"{schema}.{table} has no row of {side.tenant.slug}'s"
    return found[0], [name for (name,) in names]


# Who asks: nobody, another tenant, and values that something broken or hostile could set.
ASKERS = ["nobody", "globex", "garbage", "zero", "injection"]


def asker(who: str, world: World) -> str | None:
    return {
        "nobody": None,
        "globex": str(world.globex.tenant.pk),
        "garbage": "garbage",
        "zero": "00000000-0000-0000-0000-000000000000",
        "injection": f"{world.globex.tenant.pk}' OR true --",
    }[who]


STATEMENTS = {
    "read": "SELECT * FROM {table} WHERE {tenant} = {acme} AND NOT ({public})",
    "lock": "SELECT * FROM {table} WHERE {tenant} = {acme} AND NOT ({public}) FOR UPDATE",
    "count": "SELECT FROM (SELECT count(*) n FROM {table} WHERE {tenant} = {acme} AND NOT ({public})) t WHERE n > 0",
    "change": "UPDATE {table} SET {tenant} = {tenant} WHERE {tenant} = {acme} RETURNING *",
    "take": "UPDATE {table} SET {tenant} = {globex} WHERE {tenant} = {acme} RETURNING *",
    "give": "UPDATE {table} SET {tenant} = {acme} WHERE {tenant} = {globex} RETURNING *",
    "delete": "DELETE FROM {table} WHERE {tenant} = {acme} RETURNING *",
    "delete by key": "DELETE FROM {table} WHERE id = {id} RETURNING id",
    "insert": "INSERT INTO {table} ({columns}) SELECT {columns} FROM jsonb_populate_record(NULL::{table}, {new})",
    "insert and read": (
        "INSERT INTO {table} ({columns}) SELECT {columns} FROM jsonb_populate_record(NULL::{table}, {new}) RETURNING *"
    ),
    "insert over": (
        "INSERT INTO {table} ({columns}) SELECT {columns} FROM jsonb_populate_record(NULL::{table}, {old})"
        " ON CONFLICT (id) DO UPDATE SET id = excluded.id RETURNING *"
    ),
    "own over": (
        "INSERT INTO {table} ({columns}) SELECT {columns} FROM jsonb_populate_record(NULL::{table}, {claimed})"
        " ON CONFLICT (id) DO UPDATE SET {tenant} = {globex} RETURNING *"
    ),
    "truncate": "TRUNCATE {table}",
}
REFUSALS = (
    psycopg.errors.InsufficientPrivilege,  # row-level security, or no such grant
    psycopg.errors.InvalidTextRepresentation,  # garbage for a tenant
    psycopg.errors.IntegrityError,  # a row of one's own that is none, by a trigger or a key
)


@pytest.mark.parametrize("who", ASKERS)
def test_no_statement_reads_or_changes_another_tenants_rows(
    world: World, app: psycopg.Connection, in_silos: None, who: str
) -> None:
    with app.cursor() as cursor:
        tables = catalog.tables(cursor)
        app.rollback()
    got = []
    for oid, schema, table, column in tables:
        old, names = row_of(oid, schema, table, column, world.acme)
        parts = {
            "table": sql.Identifier(schema, table),
            "tenant": sql.Identifier(column),
            "acme": sql.Literal(str(world.acme.tenant.pk)),
            "globex": sql.Literal(str(world.globex.tenant.pk)),
            "public": sql.SQL(PUBLIC.get(table, "false")),
            "columns": sql.SQL(", ").join(map(sql.Identifier, names)),
            "id": sql.Literal(old["id"]),
            "old": jsonb(old),
            "new": jsonb({**old, "id": str(uuid4()), column: str(world.acme.tenant.pk)}),
            "claimed": jsonb({**old, column: str(world.globex.tenant.pk)}),
        }
        for name, statement in STATEMENTS.items():
            if name == "own over" and column == "id":
                continue  # then the row is Globex's own
            with acting(app, asker(who, world)) as cursor:
                tried("statements", who)
                try:
                    cursor.execute(sql.SQL(statement).format(**parts))
                except REFUSALS:
                    continue
                if cursor.rowcount:
                    got.append(f"{who} may {name} {cursor.rowcount} of {schema}.{table}")
        got += [f"{who} may copy {schema}.{table}" for _ in copied(app, asker(who, world), parts, world.acme.mark)]

    assert got == []


def test_its_own_tenant_reads_every_table(world: World, app: psycopg.Connection, in_silos: None) -> None:
    """Else the statements above would find nothing wherever they look."""
    with acting(app, str(world.acme.tenant.pk)) as cursor:
        empty = []
        for _, schema, table, column in catalog.tables(cursor):
            here = sql.Identifier(schema, table), sql.Identifier(column)
            cursor.execute(sql.SQL("SELECT FROM {} WHERE {} = %s").format(*here), [world.acme.tenant.pk])
            empty += [] if cursor.rowcount else [f"{schema}.{table}"]

    assert empty == []


def jsonb(row: dict[str, Any]) -> sql.Composable:
    return sql.SQL("{}::jsonb").format(sql.Literal(json.dumps(row)))


def copied(app: psycopg.Connection, who: str | None, parts: dict[str, Any], mark: str) -> list[str]:
    """Acme's lines among what COPY gives, to whoever asks."""
    with acting(app, who) as cursor:
        try:
            with cursor.copy(
                sql.SQL("COPY (SELECT * FROM {table} WHERE NOT ({public})) TO STDOUT").format(**parts)
            ) as copy:
                return [line for row in copy if mark in (line := bytes(row).decode())]
        except REFUSALS:
            return []


def test_search_as_another_role_finds_ones_own_only(world: World, app: psycopg.Connection) -> None:
    found = {}
    for who in ASKERS:
        with acting(app, asker(who, world)) as cursor:
            try:
                cursor.execute("SELECT chunk_id FROM knowledge_lexical_search('secret chunk text', 100)")
            except REFUSALS:
                continue
            found[who] = {row[0] for row in cursor}

    assert found == {"nobody": set(), "zero": set(), "globex": {world.globex.first("knowledge.Chunk").pk}}
