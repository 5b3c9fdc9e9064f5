"""Which state of its knowledge a workspace is in: another name for each, so that nothing outlives what it rests on."""

from django.db import connection

from apps.tenants.context import require_tenant_id

from .embed import model_name

# A document's chunks change only together with its attempt or its status (`ingest`), and one that is new has new ids.
# Not the latest change: transactions end in another order than they began in, and a clock can't tell them apart.
DIGEST = """
SELECT count(*), coalesce(sum(hashtextextended(
    concat_ws(' ', id, attempt, status, chunk_count, title), 0
)::numeric), 0)
FROM knowledge_document WHERE tenant_id = %s AND chunk_count > 0
"""


def revision() -> str:
    """The same as long as the active tenant's searches can find the same; one query over its documents' rows."""
    with connection.cursor() as cursor:
        cursor.execute(DIGEST, [require_tenant_id()])
        count, total = cursor.fetchone()
    return f"{model_name()} {count} {total}"
