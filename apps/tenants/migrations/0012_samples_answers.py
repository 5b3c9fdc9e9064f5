from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0011_flag_by_operator")]

    operations = [
        migrations.AddField(
            "tenant",
            "samples_answers",
            models.BooleanField(default=False, verbose_name="have answers measured every night"),
        )
    ]
