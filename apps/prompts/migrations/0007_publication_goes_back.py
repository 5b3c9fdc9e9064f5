from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("prompts", "0006_own_prompts_rls")]

    operations = [migrations.AddField("publication", "goes_back", models.BooleanField(default=False))]
