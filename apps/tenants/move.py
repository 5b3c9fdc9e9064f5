"""Moving a tenant's rows from one schema to another, by the tables' owner."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from uuid import UUID

from django.db import connection, models
from psycopg import sql

from .migrate import silo_models
from .models import Tenant

ROWS_AT_ONCE = 20_000  # between two lines of progress
ALL = sql.SQL("true")

Report = Callable[[str], object]
Model = type[models.Model]


class Immovable(RuntimeError):
    """Why a move did not go to its end, and what to do about it. No row is lost by it."""


@dataclass(frozen=True)
class Move:
    """Needs the tenant's context, since row-level security binds the owner too, and a transaction for each step."""

    tenant: Tenant
    source: str
    target: str

    def copy(self, report: Report) -> None:
        """Insert every row of the source into the target, a part at a time."""
        for model in silo_models():
            rows, done = self.count(model), 0
            for part in parts(rows):
                done += self.insert(model, part)
                report(f"{model._meta.db_table}: {done:,} of {rows:,} rows")
            assert_arrived(model, done, rows)

    def remember_versions(self) -> None:
        """Before `copy` and in its snapshot, for `catch_up` after it: xmin changes with every update of a row."""
        execute("CREATE TEMPORARY TABLE copied (of oid, id uuid, version xid)")
        for model in silo_models():
            self.execute(model, "INSERT INTO copied SELECT tableoid, id, xmin FROM {source} WHERE tenant_id = {tenant}")
        execute("ANALYZE copied")

    def catch_up(self) -> None:
        """Bring the copy up to date with a source in which nobody writes any more."""
        for model in reversed(silo_models()):
            self.execute(
                model,
                "DELETE FROM {target} WHERE NOT EXISTS"
                " (SELECT FROM {source} WHERE id = {target}.id AND tenant_id = {tenant})",
            )
        execute("SET LOCAL work_mem = '128MB'")
        for model in silo_models():
            # EXCEPT, because the pool's statistics may not know of this tenant, and it is fast whatever they say.
            changed = self.compose(
                model,
                "id IN (SELECT id FROM (SELECT tableoid, id, xmin FROM {source} WHERE tenant_id = {tenant}"
                " EXCEPT SELECT of, id, version FROM copied) AS changed)",
            )
            self.insert(model, changed, replace=True)
            assert_arrived(model, Move(self.tenant, self.target, self.source).count(model), self.count(model))

    def empty_source(self) -> None:
        for model in reversed(silo_models()):
            self.execute(model, "DELETE FROM {source} WHERE tenant_id = {tenant}")

    def is_source_empty(self) -> bool:
        return not any(self.count(model) for model in silo_models())

    def count(self, model: Model) -> int:
        with connection.cursor() as cursor:
            cursor.execute(self.compose(model, "SELECT count(*) FROM {source} WHERE tenant_id = {tenant}"))
            return cursor.fetchone()[0]

    def insert(self, model: Model, which: sql.Composable = ALL, *, replace: bool = False) -> int:
        """Copy one table's rows; generated columns are the database's to compute. Returns how many.

        replace: overwrite a row that is there already, instead of failing.
        """
        fields = [field for field in model._meta.local_concrete_fields if not field.generated]
        names = [sql.Identifier(field.column or field.name) for field in fields]
        assign = sql.SQL(", ").join(sql.SQL("{0} = EXCLUDED.{0}").format(name) for name in names)
        return self.execute(
            model,
            "INSERT INTO {target} ({columns}) SELECT {columns} FROM {source}"
            " WHERE tenant_id = {tenant} AND {which} {or_replace}",
            columns=sql.SQL(", ").join(names),
            which=which,
            or_replace=sql.SQL("ON CONFLICT (id) DO UPDATE SET {}").format(assign) if replace else sql.SQL(""),
        )

    def execute(self, model: Model, query: str, **names: sql.Composable) -> int:
        return execute(self.compose(model, query, **names))

    def compose(self, model: Model, query: str, **names: sql.Composable) -> sql.Composed:
        table, tenant = model._meta.db_table, sql.Literal(self.tenant.id)
        source, target = sql.Identifier(self.source, table), sql.Identifier(self.target, table)
        return sql.SQL(query).format(source=source, target=target, tenant=tenant, **names)


def execute(query: str | sql.Composable) -> int:
    """Returns the number of rows affected or found."""
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.rowcount


def assert_arrived(model: Model, arrived: int, rows: int) -> None:
    if arrived != rows:
        raise Immovable(f"{arrived:,} of {rows:,} rows of {model._meta.db_table} arrived. Please report this.")


def parts(rows: int) -> Iterator[sql.Composable]:
    """Conditions that cut `rows` rows into pieces by their ids, which are random."""
    number = math.ceil(rows / ROWS_AT_ONCE)
    bounds = [sql.Literal(UUID(int=(piece << 128) // number)) for piece in range(number)]
    for low, high in pairwise([*bounds, None]):
        yield sql.SQL("id >= {} AND id < {}").format(low, high) if high else sql.SQL("id >= {}").format(low)


def tables(schema: str) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(schema, model._meta.db_table) for model in silo_models())
