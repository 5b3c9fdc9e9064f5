from typing import Any

from django_tenants.management.commands.migrate_schemas import MigrateSchemasCommand

from apps.tenants.migrate import as_owner


class Command(MigrateSchemasCommand):
    """`migrate`, as the owner of the tables, in `public` and in every silo."""

    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        with as_owner():
            super().handle(*args, **{**options, "skip_checks": True})
