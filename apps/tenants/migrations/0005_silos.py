"""Erasing a workspace drops its schema, which the application's role may not do: this function may, and trusts nobody.

It takes the tenant from the connection, and drops nothing of one that isn't leaving.
"""

from django.db import migrations

CREATE = """
CREATE FUNCTION tenants_drop_silo() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '500ms' -- its foreign keys' other ends are everybody's tables
SET client_min_messages = warning
AS $$
DECLARE
    tenant uuid := nullif(current_setting('app.tenant_id', true), '')::uuid;
    home text := 't_' || replace(tenant::text, '-', '');
BEGIN
    PERFORM FROM public.tenants_tenant WHERE id = tenant AND status = 'leaving';
    IF NOT FOUND THEN
        RAISE insufficient_privilege USING MESSAGE = 'only a workspace that is being deleted loses its schema';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended(tenant::text, 0));
    EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', home);
    EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', home || '__build');
END
$$;
REVOKE ALL ON FUNCTION tenants_drop_silo() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenants_drop_silo() TO corbel_app;
"""


class Migration(migrations.Migration):
    dependencies = [("tenants", "0004_accounts_rls")]

    operations = [migrations.RunSQL(CREATE, "DROP FUNCTION tenants_drop_silo();")]
