"""System checks: what must be true of the database before anybody is served."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connections

from .migrate import histories, silo_models, silos
from .vault import VaultError, masters
from .vault.local import LocalMaster

WHO = """
SELECT rolname, rolsuper, rolbypassrls,
       EXISTS (SELECT FROM pg_roles other WHERE (other.rolsuper OR other.rolbypassrls) AND other.oid <> r.oid
               AND pg_has_role(r.oid, other.oid, 'MEMBER')) AS may_become_one,
       EXISTS (SELECT FROM pg_class WHERE relowner = r.oid AND relkind IN ('r', 'p')
               AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)) AS owns
FROM pg_roles r WHERE rolname = current_user
"""


@register(Tags.database)
def app_role_is_bound_by_rls(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Refuses a default connection whose role could read past row-level security."""
    if not databases or "default" not in databases:
        return []
    with connections["default"].cursor() as cursor:
        cursor.execute(WHO)
        role, is_super, bypasses, may_become_one, owns = cursor.fetchone()
    faults = [
        text
        for is_so, text in (
            (is_super, "is a superuser"),
            (bypasses, "has BYPASSRLS"),
            (may_become_one and not is_super, "may become a role that isn't bound by it"),
            (owns, "owns tables"),
        )
        if is_so
    ]
    if not faults:
        return []
    return [
        Error(
            f"DATABASE_URL connects as {role!r}, which {' and '.join(faults)}: row-level security would not bind it.",
            hint="Connect as corbel_app. `python -m config.roles` creates the roles and prints their URLs.",
            id="tenants.E001",
        )
    ]


MISSING = """
SELECT silo, name FROM unnest(%s::text[]) AS silo, unnest(%s::text[]) AS name
WHERE to_regclass(format('%%I.%%I', silo, name)) IS NULL
"""


@register(Tags.database)
def silos_are_migrated(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Refuses a silo that lacks a table or a migration which `public` has: what it lacks, its tenant would read from
    the pool and write into it. Three small queries for any number of silos, one for none."""
    if not databases or "default" not in databases or not (schemas := silos()):
        return []
    lacks: dict[str, list[str]] = {schema: [] for schema in schemas}
    tables = ["django_migrations", *(model._meta.db_table for model in silo_models())]
    with connections["default"].cursor() as cursor:
        cursor.execute(MISSING, [schemas, tables])
        for schema, table in cursor.fetchall():
            lacks[schema].append(table)
    recorded = [schema for schema in schemas if "django_migrations" not in lacks[schema]]
    had = histories(["public", *recorded])
    for schema in recorded:
        lacks[schema] += sorted(had["public"] - had[schema])
    return [
        Error(
            f"The schema {schema}, a workspace's own, lacks {', '.join(faults)}.",
            hint="Run `manage.py migrate`.",
            id="tenants.E002",
        )
        for schema, faults in lacks.items()
        if faults
    ]


@register(Tags.security)
def master_keys_are_right(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Refuses a master key that can't be: a misspelt one, a missing library, a file that others may read, or one that
    is gone while workspaces' keys are wrapped with it. Key services aren't asked."""
    faults = []
    for url in (settings.MASTER_KEY, *settings.MASTER_KEY_FALLBACKS):
        try:
            master = masters.master(url)
            if isinstance(master, LocalMaster):
                master.check(is_current=url == settings.MASTER_KEY, asks=bool(databases and "default" in databases))
        except VaultError as error:
            faults.append(str(error))
    return [Error(fault, hint="See docs/gateway-keys.md.", id="tenants.E003") for fault in faults]


def refuse_to_serve() -> None:
    """Ends this process with the checks' errors, if there are any. For web and worker, before they take work.

    One silo without a migration stops it for all: a release has not migrated to its end, and serving the rest would
    hide that.
    """
    checks = (app_role_is_bound_by_rls, silos_are_migrated, master_keys_are_right)
    errors = [error for check in checks for error in check(databases=["default"])]
    connections["default"].close()
    connections["default"].close_pool()  # type: ignore[attr-defined]  # a pool doesn't survive the worker's fork
    if errors:
        raise SystemExit("\n".join(f"{error.msg}\n{error.hint}" for error in errors))
