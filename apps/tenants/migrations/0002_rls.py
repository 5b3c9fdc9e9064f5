from django.db import migrations

from apps.tenants.rls import OWN, Isolate


class Migration(migrations.Migration):
    dependencies = [("tenants", "0001_initial")]

    operations = [
        Isolate("tenants_membership", readable=OWN),  # a user sees their own, to switch between workspaces
        Isolate("tenants_domain", readable="true"),  # a host is looked up before there is a tenant
    ]
