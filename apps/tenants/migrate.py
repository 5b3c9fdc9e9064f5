"""Which schemas `migrate` visits: `public`, and the silos. A pooled tenant has no schema of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import connection
from django_tenants.migration_executors import get_executor

from config.env import BadSetting


def silos_only(codename: str | None = None) -> type:
    """django-tenants' executor, kept from creating or visiting schemas that don't exist."""
    executor = get_executor(codename)

    class SilosOnly(executor):  # type: ignore[valid-type, misc]
        def run_migrations(self, tenants: Any = None) -> None:
            with connection.cursor() as cursor:
                cursor.execute("SELECT nspname FROM pg_namespace")
                existing = {name for (name,) in cursor.fetchall()}
            super().run_migrations([name for name in tenants or [] if name in existing])

    SilosOnly.__name__ = executor.__name__
    return SilosOnly


@contextmanager
def as_owner() -> Iterator[None]:
    """Connect as the role that owns the tables. Web and workers never have its password."""
    if not settings.DATABASE_OWNER:
        raise BadSetting(
            "DATABASE_OWNER_URL",
            "is not set, and only the owner of the tables may change them",
            "Write the URL of the role corbel_owner; `python -m config.roles` prints it.",
        )
    parameters = connection.settings_dict
    app = dict(parameters)
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    parameters.update(settings.DATABASE_OWNER)
    try:
        yield
    finally:
        connection.close()
        parameters.update(app)
