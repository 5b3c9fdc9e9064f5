from django.db import migrations

from apps.tenants.rls import OwnOrDefault


class Migration(migrations.Migration):
    dependencies = [("runs", "0009_experiment_arm_and_rating"), ("prompts", "0004_versions_rls")]

    operations = [OwnOrDefault("runs_run", "experiment_arm_id", "prompts_experimentarm")]
