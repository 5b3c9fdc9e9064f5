"""Keys and switches are isolated. Whatever decides how models are called counts a revision up.

A process keeps that in memory; each call compares the revisions, and so none is made by what no longer holds.
"""

from django.db import migrations

from apps.tenants.rls import Isolate, SameTenant

CREATE = """
CREATE TABLE tenants_policyrevision (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one), revision bigint NOT NULL DEFAULT 0
);
INSERT INTO tenants_policyrevision DEFAULT VALUES;

CREATE FUNCTION tenants_policy_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    owner uuid := CASE WHEN TG_OP = 'DELETE' THEN OLD.tenant_id ELSE NEW.tenant_id END;
BEGIN
    IF owner IS NULL THEN
        UPDATE tenants_policyrevision SET revision = revision + 1;
    ELSE
        UPDATE tenants_tenant SET policy_revision = policy_revision + 1 WHERE id = owner;
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION tenants_everybodys_policy_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE tenants_policyrevision SET revision = revision + 1;
    RETURN NULL;
END
$$;

CREATE FUNCTION tenants_keep_policy_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.policy_revision := greatest(NEW.policy_revision, OLD.policy_revision);
    IF (NEW.allowed_models, NEW.requests_per_minute, NEW.tokens_per_day, NEW.highest_tier, NEW.status)
        IS DISTINCT FROM (OLD.allowed_models, OLD.requests_per_minute, OLD.tokens_per_day, OLD.highest_tier, OLD.status)
    THEN
        NEW.policy_revision := OLD.policy_revision + 1;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER keep_policy_revision BEFORE UPDATE ON tenants_tenant
FOR EACH ROW EXECUTE FUNCTION tenants_keep_policy_revision();

CREATE TRIGGER policy_changed AFTER INSERT OR UPDATE OR DELETE ON tenants_flag
FOR EACH ROW EXECUTE FUNCTION tenants_policy_changed();
CREATE TRIGGER policy_changed AFTER INSERT OR UPDATE OR DELETE ON tenants_apikey
FOR EACH ROW EXECUTE FUNCTION tenants_policy_changed();
CREATE TRIGGER policy_changed AFTER INSERT OR UPDATE OR DELETE ON tenants_providerkey
FOR EACH ROW EXECUTE FUNCTION tenants_policy_changed();
"""
DROP = """
DROP TRIGGER policy_changed ON tenants_providerkey;
DROP TRIGGER policy_changed ON tenants_apikey;
DROP TRIGGER policy_changed ON tenants_flag;
DROP TRIGGER keep_policy_revision ON tenants_tenant;
DROP FUNCTION tenants_keep_policy_revision();
DROP FUNCTION tenants_everybodys_policy_changed();
DROP FUNCTION tenants_policy_changed();
DROP TABLE tenants_policyrevision;
"""


class Migration(migrations.Migration):
    dependencies = [("tenants", "0007_gateway")]

    operations = [
        Isolate("tenants_apikey"),
        Isolate("tenants_datakey"),
        Isolate("tenants_providerkey"),
        Isolate("tenants_flag", readable="tenant_id IS NULL"),
        SameTenant("tenants_providerkey", "data_key_id", "tenants_datakey", on_delete="RESTRICT"),
        migrations.RunSQL(CREATE, DROP),
    ]
