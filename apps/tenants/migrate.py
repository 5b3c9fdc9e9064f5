"""Which schemas `migrate` visits: `public`, and the silos. A pooled tenant has no schema of its own."""

from typing import Any

from django.conf import settings
from django.db import connection, connections
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


def become_owner() -> None:
    """Connect as the role that owns the tables. Web and workers never have its password."""
    if settings.DATABASE_OWNER is None:
        raise BadSetting(
            "DATABASE_OWNER_URL",
            "is not set, and only the owner of the tables may change them",
            "Write the URL of the role corbel_owner; `python -m config.roles` prints it.",
        )
    connections["default"].close()
    connections["default"].close_pool()
    parameters = {**settings.DATABASE_OWNER, "ENGINE": settings.DATABASES["default"]["ENGINE"]}
    connections["default"].settings_dict.update(parameters)


def become_app() -> None:
    """Go back to the role that web and workers are."""
    connections["default"].close()
    connections["default"].settings_dict.update(settings.DATABASES["default"])
