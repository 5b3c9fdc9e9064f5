"""What a tenant's data looks like as a whole, so that a change of any row shows."""

from hashlib import sha256
from pathlib import Path
from typing import Any

from django.conf import settings
from psycopg import sql

from apps.tenants.models import User

from .planting import owned_models
from .world import Side, personal_models

State = dict[str, str]


def parts(side: Side) -> list[tuple[str, str, list[Any]]]:
    """Which rows are the side's: table, column, values of that column."""
    people = [user.pk for user in side.people.values()]
    owned = [(model._meta.db_table, "tenant_id", [side.tenant.pk]) for model in owned_models()]
    personal = [(model._meta.db_table, user_column(model), people) for model in personal_models()]
    return [*owned, *personal, ("tenants_tenant", "id", [side.tenant.pk]), ("tenants_user", "id", people)]


def user_column(model: Any) -> str:
    return next(field.column for field in model._meta.fields if field.related_model is User)


def state(cursor: Any, side: Side) -> State:
    """A digest of the side's rows in each table, as `cursor` sees them: a superuser's, or one in its context."""
    each = sql.SQL(
        "SELECT {name}, count(*) || ' rows, ' || coalesce(md5(string_agg(t::text, E'\\n' ORDER BY t::text)), '')"
        " FROM {table} t WHERE {column} = ANY({values}::uuid[])"
    )
    query = sql.SQL(" UNION ALL ").join(
        each.format(
            name=sql.Literal(table),
            table=sql.Identifier(table),
            column=sql.Identifier(column),
            values=sql.Literal(values),
        )
        for table, column, values in parts(side)
    )
    cursor.execute(query.as_string(None))
    return dict(cursor.fetchall())


def files(side: Side) -> State:
    """A digest of each file in the side's folder."""
    folder = Path(settings.MEDIA_ROOT) / str(side.tenant.pk)
    return {str(path): sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def changed(before: State, after: State) -> list[str]:
    """What is different, a line each."""
    pairs = ((name, before.get(name), after.get(name)) for name in sorted(before.keys() | after.keys()))
    return [f"{name}: {old} became {new}" for name, old, new in pairs if old != new]
