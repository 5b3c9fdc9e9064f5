"""The HNSW index of a silo's embeddings, for silos of a few hundred thousand passages. Search uses it where it is.

The pool never has one: Postgres would take it for every tenant, and find next to nothing for small ones.
"""

from django.db import connection
from psycopg import sql

from apps.tenants.context import schema_of
from apps.tenants.migrate import silos
from apps.tenants.models import Tenant

NAME = "chunk_embedding_hnsw"  # what search looks for


class NotASilo(RuntimeError):
    """The tenant lives in the pool."""


def build(tenant: Tenant) -> bool:
    """Build the index while the tenant goes on reading and writing. Needs `as_owner()`. Raises NotASilo.

    Returns False if it was there. What a killed command began is begun anew.
    """
    index, table = names(tenant)
    with connection.cursor() as cursor:
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [index.as_string()])
        if cursor.fetchone() == (True,):
            return False
        cursor.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(index))
        cursor.execute("SET maintenance_work_mem = '512MB'")  # 250,000 passages; beyond it building gets slow
        cursor.execute(
            sql.SQL("CREATE INDEX CONCURRENTLY {} ON {} USING hnsw (embedding vector_cosine_ops)").format(
                sql.Identifier(NAME), table
            )
        )
    return True


def drop(tenant: Tenant) -> None:
    """Drop the index, if it is there. Needs `as_owner()`. Raises NotASilo."""
    index, _ = names(tenant)
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(index))


def names(tenant: Tenant) -> tuple[sql.Identifier, sql.Identifier]:
    """The index and its table."""
    schema = schema_of(tenant.id)
    if schema not in silos():
        raise NotASilo(f"{tenant.name} is in the pool. Run `manage.py promote {tenant.slug}` first.")
    return sql.Identifier(schema, NAME), sql.Identifier(schema, "knowledge_chunk")
