"""Plain connections to Postgres, to which no code of ours says who is acting."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.conf import settings
from django.db import connections


def driver(alias: str) -> psycopg.Connection:
    """As the role of that database alias, or as the "owner" of the tables."""
    parameters = connections[alias].settings_dict if alias in connections else settings.DATABASE_OWNER
    return psycopg.connect(
        dbname=parameters["NAME"],
        user=parameters["USER"],
        password=parameters["PASSWORD"],
        host=parameters["HOST"],
        port=parameters["PORT"],
    )


@contextmanager
def acting(connection: psycopg.Connection, tenant_id: str | None) -> Iterator[psycopg.Cursor]:
    """A transaction of whoever says that; rolled back."""
    with connection.cursor() as cursor:
        if tenant_id is not None:
            cursor.execute("SELECT set_config('app.tenant_id', %s, true)", [tenant_id])
        try:
            yield cursor
        finally:
            connection.rollback()
