"""A workspace is deleted: shut at once, then every trace of it is removed.

    leave    the status says so, which every page, socket and task looks at; its removal is queued
    erase    work under way is stopped; keys and queued tasks in Redis, files, the silo, rows, the workspace itself

`erase` may be killed anywhere and called again: the workspace's own row is the last to go, and remembers it until
then. People's accounts stay. They are their own, and in other workspaces too.
"""

import logging
from contextvars import Context
from functools import partial
from graphlib import TopologicalSorter
from uuid import UUID

from django.apps import apps
from django.db import IntegrityError, connection, transaction
from django.dispatch import Signal
from kombu.exceptions import OperationalError as BrokerError
from psycopg import sql

from . import traces
from .audit import record
from .context import tenant_context, tenant_id_context
from .doors import close_doors
from .models import Export, Tenant
from .platform import require_platform
from .silo import patiently

log = logging.getLogger(__name__)

# Sent in its context before the first of its rows goes; apps above end what goes on elsewhere. May be sent again.
erasing = Signal()

ROWS_AT_ONCE = 5_000
ROUNDS = 10

# Where a tenant's rows are, in the pool. The audit log may not be deleted from: it goes with the workspace's row.
TABLES = """
SELECT relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND attname = 'tenant_id' AND NOT attisdropped
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
  AND has_table_privilege(c.oid, 'DELETE') ORDER BY relname
"""
POINTERS = """
SELECT child.relname, parent.relname FROM pg_constraint
JOIN pg_class child ON child.oid = conrelid JOIN pg_class parent ON parent.oid = confrelid
WHERE contype = 'f' AND conrelid <> confrelid
  AND child.relnamespace = 'public'::regnamespace AND parent.relnamespace = 'public'::regnamespace
"""
DELETE = """
DELETE FROM public.{table} WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM public.{table} WHERE tenant_id = {tenant} LIMIT {limit}))
"""


class NotLeaving(RuntimeError):
    """Asked to erase a workspace that nobody has said is to be deleted."""


def leave(tenant: Tenant) -> None:
    """Shut the workspace now, and queue its removal. There is no way back."""
    with tenant_context(tenant), transaction.atomic():
        Tenant.objects.filter(pk=tenant.pk).update(status=Tenant.Status.LEAVING)
        record("workspace.deleted", tenant)
        transaction.on_commit(partial(close_doors, tenant.id))
        transaction.on_commit(partial(queue, tenant.id))


def queue(tenant_id: UUID) -> None:
    """Hand the removal to a worker. When the queue is away, `finish_leaving` does it later."""
    from .tasks import erase_workspace

    try:
        # In nobody's context: what is queued for the tenant is forgotten before its removal is done.
        Context().run(erase_workspace.delay, str(tenant_id))
    except BrokerError:
        log.exception("the removal of workspace %s could not be queued", tenant_id)


def erase(tenant_id: UUID) -> None:
    """Remove every trace of a workspace that is leaving, or that is gone but for what was left behind.

    Raises NotLeaving for any other, OperationalError, RedisError or OSError when a part of the house is away, and
    Immovable when others hold the silo's tables: call it again.
    """
    with tenant_id_context(tenant_id):
        tenant = Tenant.objects.filter(pk=tenant_id).first()
        if tenant and tenant.status != Tenant.Status.LEAVING:
            raise NotLeaving(f"{tenant.name} is {tenant.status}.")
        traces.stop_work(tenant_id)
        if tenant:
            erasing.send(sender=Tenant)
            Export.objects.all().delete()  # who is making one stops when it is gone
            sweep(tenant_id)
            patiently(drop_silo)
            for _ in range(ROUNDS):
                delete_rows(tenant_id)
                if delete_tenant(tenant_id):
                    break
            else:
                raise IntegrityError("Somebody keeps writing rows of a workspace that is being deleted.")
        sweep(tenant_id)  # what was written meanwhile; without its row a workspace gets nothing new
    log.info("workspace %s is deleted", tenant_id)


def sweep(tenant_id: UUID) -> None:
    traces.unqueue(tenant_id)
    traces.delete_keys(tenant_id)
    traces.delete_files(tenant_id)


def drop_silo() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT public.tenants_drop_silo()")


def delete_rows(tenant_id: UUID) -> None:
    """The rows of every table that has a tenant, children before parents, in transactions that hold up nobody."""
    for table in tables():
        values = {"table": sql.Identifier(table), "tenant": sql.Literal(tenant_id), "limit": sql.Literal(ROWS_AT_ONCE)}
        query, deleted = sql.SQL(DELETE).format(**values), ROWS_AT_ONCE
        while deleted == ROWS_AT_ONCE:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(query)
                deleted = cursor.rowcount
    if apps.is_installed("django.contrib.admin"):  # what operators changed of the workspace itself
        apps.get_model("admin", "LogEntry").objects.filter(object_id=str(tenant_id)).delete()


def tables() -> list[str]:
    """From the catalog, so that a new table needs no line here."""
    with connection.cursor() as cursor:
        cursor.execute(TABLES)
        names = {name for (name,) in cursor.fetchall()}
        cursor.execute(POINTERS)
        pointers = [(child, parent) for child, parent in cursor.fetchall() if {child, parent} <= names]
    graph: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys(names, ()))
    for child, parent in pointers:
        graph.add(parent, child)
    return list(graph.static_order())


def delete_tenant(tenant_id: UUID) -> bool:
    """Whether the workspace's row could be deleted: not while something still writes rows that point at it."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("DELETE FROM public.tenants_tenant WHERE id = %s", [tenant_id])
    except IntegrityError:
        return False
    return True


def queue_interrupted() -> int:
    """Queue the removal of every workspace whose deletion isn't done; returns how many."""
    leaving = Tenant.objects.using(require_platform()).filter(status=Tenant.Status.LEAVING)
    ids = list(leaving.values_list("id", flat=True))
    for tenant_id in ids:
        queue(tenant_id)
    return len(ids)
