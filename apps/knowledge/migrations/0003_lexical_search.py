"""Lexical search that can use its index under row-level security.

`@@` is not leakproof, so a policy's condition must be checked before it and the GIN index is never used. This
function runs as a role that may read every chunk, and so it must not trust anybody: it reads the tenant from the
connection, finds nothing when there is none, and puts the tenant into the query as a literal.
"""

from django.db import migrations

SEARCH = """
ALTER TABLE knowledge_chunk ALTER COLUMN embedding SET STORAGE PLAIN;
-- Search reads its first candidates from the index alone, which needs pages that vacuum has seen.
ALTER TABLE knowledge_chunk SET (autovacuum_vacuum_insert_scale_factor = 0.02);

GRANT SELECT ON knowledge_chunk TO corbel_reader;
CREATE POLICY search_reads ON knowledge_chunk FOR SELECT TO corbel_reader USING (true);

CREATE FUNCTION knowledge_lexical_search(query text, most integer)
RETURNS TABLE (chunk_id uuid, rank real)
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    tenant uuid := nullif(current_setting('app.tenant_id', true), '')::uuid;
    terms tsquery := (
        SELECT string_agg(quote_literal(lexeme), ' | ')::tsquery
        FROM unnest(tsvector_to_array(to_tsvector('english', query))) AS lexeme
    );
BEGIN
    IF tenant IS NULL OR terms IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE format(
        'SELECT id, ts_rank(words, $1, 1) AS rank FROM %I.knowledge_chunk'
        ' WHERE tenant_id = %L AND words @@ $1 ORDER BY rank DESC, id LIMIT $2',
        TG_SCHEMA, tenant
    ) USING terms, most;
END
$function$;
"""

# The function reads the table of the schema it was made in, whatever the caller's search_path says.
CREATE = f"""
DO $do$
BEGIN
    EXECUTE replace($sql${SEARCH}$sql$, 'TG_SCHEMA', quote_literal(current_schema()));
END
$do$;
REVOKE ALL ON FUNCTION knowledge_lexical_search(text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION knowledge_lexical_search(text, integer) TO corbel_app, corbel_platform;
-- Last: from here on it is not the migrating role's to grant.
ALTER FUNCTION knowledge_lexical_search(text, integer) OWNER TO corbel_reader;
"""

DROP = """
SET ROLE corbel_reader;
DROP FUNCTION knowledge_lexical_search(text, integer);
RESET ROLE;
DROP POLICY search_reads ON knowledge_chunk;
REVOKE SELECT ON knowledge_chunk FROM corbel_reader;
"""


class Migration(migrations.Migration):
    dependencies = [("knowledge", "0002_rls")]

    operations = [migrations.RunSQL(CREATE, DROP)]
