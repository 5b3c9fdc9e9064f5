from django.db import migrations

from apps.tenants.rls import Isolate


class Migration(migrations.Migration):
    dependencies = [("tenants", "0014_dead_letters")]

    operations = [Isolate("tenants_deadletter"), Isolate("tenants_effect")]
