"""Files at providers, and the lines in them, are their tenant's alone."""

from django.db import migrations

from apps.tenants.rls import Isolate, SameTenant


class Migration(migrations.Migration):
    dependencies = [("runs", "0014_provider_batches")]

    operations = [
        Isolate("runs_providerbatch"),
        Isolate("runs_providerline"),
        SameTenant("runs_providerbatch", "batch_id", "runs_batch"),
        SameTenant("runs_providerbatch", "step_id", "runs_batchstep"),
        SameTenant("runs_providerbatch", "provider_key_id", "tenants_providerkey", on_delete="SET NULL"),
        SameTenant("runs_providerline", "provider_batch_id", "runs_providerbatch"),
        SameTenant("runs_providerline", "row_id", "runs_batchrow"),
        SameTenant("runs_providerline", "step_id", "runs_batchstep"),
        SameTenant("runs_providerline", "run_id", "runs_run"),
    ]
