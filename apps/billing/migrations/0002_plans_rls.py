from django.db import migrations

from apps.tenants.rls import Isolate

# An event is stored before anybody knows whose customer it is about, so it has no tenant. The web may add one and can
# read, change or remove none; operators' connection, which bypasses this, does.
CREATE = """
ALTER TABLE billing_stripeevent ENABLE ROW LEVEL SECURITY;
ALTER TABLE billing_stripeevent FORCE ROW LEVEL SECURITY;
CREATE POLICY stored_only ON billing_stripeevent FOR INSERT WITH CHECK (true);
"""
DROP = """
DROP POLICY stored_only ON billing_stripeevent;
ALTER TABLE billing_stripeevent NO FORCE ROW LEVEL SECURITY;
ALTER TABLE billing_stripeevent DISABLE ROW LEVEL SECURITY;
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_plans"), ("tenants", "0016_seats_and_features")]

    operations = [
        Isolate("billing_subscription"),
        Isolate("billing_planperiod"),
        Isolate("billing_meterevent"),
        migrations.RunSQL(CREATE, DROP),
    ]
