from django.db import migrations

from apps.tenants.rls import Isolate


class Migration(migrations.Migration):
    dependencies = [("prompts", "0001_initial")]

    operations = [Isolate("prompts_promptversion", readable="tenant_id IS NULL")]
