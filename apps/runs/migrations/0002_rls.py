from django.db import migrations

from apps.tenants.rls import Isolate


class Migration(migrations.Migration):
    dependencies = [("runs", "0001_initial")]

    operations = [Isolate("runs_run")]
