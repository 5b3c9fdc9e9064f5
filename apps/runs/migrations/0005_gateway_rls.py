from django.db import migrations

from apps.tenants.rls import Isolate, SameTenant

CREATE = """
CREATE TRIGGER policy_changed AFTER INSERT OR UPDATE OR DELETE ON runs_modelroute
FOR EACH ROW EXECUTE FUNCTION tenants_policy_changed();
CREATE TRIGGER policy_changed AFTER INSERT OR UPDATE OR DELETE ON runs_policy
FOR EACH ROW EXECUTE FUNCTION tenants_policy_changed();
CREATE TRIGGER policy_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON runs_modelprice
FOR EACH STATEMENT EXECUTE FUNCTION tenants_everybodys_policy_changed();
"""
DROP = """
DROP TRIGGER policy_changed ON runs_modelprice;
DROP TRIGGER policy_changed ON runs_policy;
DROP TRIGGER policy_changed ON runs_modelroute;
"""


class Migration(migrations.Migration):
    dependencies = [("runs", "0004_gateway"), ("tenants", "0008_gateway_rls")]

    operations = [
        Isolate("runs_budget"),
        Isolate("runs_spend"),
        Isolate("runs_alert"),
        Isolate("runs_policy"),
        Isolate("runs_cachedanswer"),
        Isolate("runs_modelroute", readable="tenant_id IS NULL"),
        SameTenant("runs_run", "parent_id", "runs_run", on_delete="SET NULL"),
        SameTenant("runs_run", "cached_from_id", "runs_run", on_delete="SET NULL"),
        SameTenant("runs_run", "api_key_id", "tenants_apikey", on_delete="SET NULL"),
        SameTenant("runs_run", "provider_key_id", "tenants_providerkey", on_delete="SET NULL"),
        SameTenant("runs_alert", "budget_id", "runs_budget"),
        SameTenant("runs_cachedanswer", "run_id", "runs_run"),
        migrations.RunSQL(CREATE, DROP),
    ]
