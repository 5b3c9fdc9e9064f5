"""Lexical search reads the table beside it, whatever its schema is called.

A silo is built under one name and renamed when it is filled, so a schema's name can't stand in the function's text.
It asks the catalog where it is itself.
"""

from django.db import migrations

REPLACE = """
SET LOCAL ROLE corbel_reader;
CREATE OR REPLACE FUNCTION knowledge_lexical_search(query text, most integer)
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
    own_oid oid;
BEGIN
    IF tenant IS NULL OR terms IS NULL THEN
        RETURN;
    END IF;
    GET DIAGNOSTICS own_oid = PG_ROUTINE_OID;
    RETURN QUERY EXECUTE format(
        'SELECT id, ts_rank(words, $1, 1) AS rank FROM %s.knowledge_chunk'
        ' WHERE tenant_id = %L AND words @@ $1 ORDER BY rank DESC, id LIMIT $2',
        (SELECT pronamespace::regnamespace FROM pg_proc WHERE oid = own_oid), tenant
    ) USING terms, most;
END
$function$;
RESET ROLE;
"""


class Migration(migrations.Migration):
    dependencies = [("knowledge", "0004_progressed_at")]

    operations = [migrations.RunSQL(REPLACE, migrations.RunSQL.noop)]
