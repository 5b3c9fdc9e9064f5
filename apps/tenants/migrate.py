"""Which schemas `migrate` visits: `public`, and the silos. A pooled tenant has no schema of its own."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.apps import apps as django_apps
from django.conf import settings
from django.db import connection, models
from django_tenants.migration_executors import get_executor
from psycopg import sql

from config.env import BadSetting

log = logging.getLogger(__name__)

SILOS = "SELECT nspname FROM pg_namespace WHERE nspname ~ '^t_[0-9a-f]{32}$' ORDER BY nspname"
OWNERS_TURN = "hashtextextended('corbel owner', 0)"


def silos() -> list[str]:
    """The schemas of tenants outside the pool. Their names are tenants' ids, so no row of a tenant need be read."""
    with connection.cursor() as cursor:
        cursor.execute(SILOS)
        return [name for (name,) in cursor.fetchall()]


def silo_ids() -> list[UUID]:
    """The tenants outside the pool: what asks for every tenant's rows finds theirs in their own contexts only."""
    return [UUID(name.removeprefix("t_")) for name in silos()]


def silo_models() -> list[type[models.Model]]:
    """The models whose rows a silo holds, each after those it points at."""
    owning = (django_apps.get_app_config(label) for label in tenant_labels())
    return [model for config in owning for model in config.get_models(include_auto_created=True)]


def tenant_labels() -> list[str]:
    return [config.label for config in django_apps.get_app_configs() if config.name in settings.TENANT_APPS]


def histories(schemas: Sequence[str]) -> dict[str, set[str]]:
    """The migrations of tenants' apps that each of `schemas` has had, such as "chat.0001_initial". One query."""
    each = sql.SQL("SELECT {}, app || '.' || name FROM {} WHERE app = ANY({})")
    query = sql.SQL(" UNION ALL ").join(
        each.format(sql.Literal(schema), sql.Identifier(schema, "django_migrations"), sql.Literal(tenant_labels()))
        for schema in schemas
    )
    had: dict[str, set[str]] = {schema: set() for schema in schemas}
    with connection.cursor() as cursor:
        cursor.execute(query)
        for schema, migration in cursor.fetchall():
            had[schema].add(migration)
    return had


def silos_only(codename: str | None = None) -> type:
    """django-tenants' executor, kept from creating or visiting schemas that don't exist."""
    executor = get_executor(codename)

    class SilosOnly(executor):  # type: ignore[valid-type, misc]
        def run_migrations(self, tenants: Any = None) -> None:
            """`tenants`: a list of the schemas asked for, or a query for all tenants, whom the owner may not list."""
            super().run_migrations(tenants if isinstance(tenants, list) else silos())

    SilosOnly.__name__ = executor.__name__
    return SilosOnly


@contextmanager
def as_owner() -> Iterator[None]:
    """Connect as the role that owns the tables. Web and workers never have its password.

    One process at a time: whoever comes second waits, so that no schema changes while another is moved or migrated.
    """
    if not settings.DATABASE_OWNER:
        raise BadSetting(
            "DATABASE_OWNER_URL",
            "is not set, and only the owner of the tables may change them",
            "Write the URL of the role corbel_owner; `python -m config.roles` prints it.",
        )
    parameters = connection.settings_dict
    if parameters["USER"] == settings.DATABASE_OWNER["USER"]:
        yield  # a command that calls another
        return
    app = dict(parameters)
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    parameters.update(settings.DATABASE_OWNER)
    turn = connection.copy()  # a session of its own: `migrate` closes connections as it goes
    try:
        with turn.cursor() as cursor:
            cursor.execute(f"SELECT pg_try_advisory_lock({OWNERS_TURN})")
            if not cursor.fetchone()[0]:
                log.warning("Waiting for another migrate, promote or demote to end.")
                cursor.execute(f"SELECT pg_advisory_lock({OWNERS_TURN})")
        yield
    finally:
        turn.close()
        connection.close()
        parameters.update(app)
