from django.db import migrations

from apps.tenants.rls import Isolate, OwnOrDefault


class Migration(migrations.Migration):
    dependencies = [("prompts", "0005_own_prompts")]

    operations = [
        Isolate("prompts_prompt", readable="tenant_id IS NULL"),
        OwnOrDefault("prompts_promptversion", "prompt_id", "prompts_prompt"),
        OwnOrDefault("prompts_publication", "prompt_id", "prompts_prompt"),
        OwnOrDefault("prompts_experiment", "prompt_id", "prompts_prompt"),
    ]
