"""The workspace's own row is isolated too. What is written into the audit log stays as it is.

Rows of the log go with their workspace only: a foreign key's own action runs as the owner of the table, and no
other role may delete or change one.
"""

from django.db import migrations

from apps.tenants.rls import OWN, Isolate

AUDIT = """
REVOKE UPDATE, DELETE, TRUNCATE ON tenants_auditevent FROM corbel_app, corbel_platform;
ALTER TABLE tenants_auditevent ADD CONSTRAINT tenants_auditevent_goes_with_tenant
FOREIGN KEY (tenant_id) REFERENCES tenants_tenant (id) ON DELETE CASCADE;
"""


class Migration(migrations.Migration):
    dependencies = [("tenants", "0003_accounts")]

    operations = [
        Isolate(
            "tenants_tenant",
            column="id",
            readable=f"id IN (SELECT tenant_id FROM tenants_membership WHERE {OWN})",
        ),
        Isolate("tenants_domain", readable="verified_at IS NOT NULL"),  # a host is looked up before there is a tenant
        Isolate("tenants_invitation"),
        Isolate("tenants_auditevent"),
        Isolate("tenants_export"),
        migrations.RunSQL(AUDIT, migrations.RunSQL.noop),
    ]
