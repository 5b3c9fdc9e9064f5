from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0010_master_keys")]

    operations = [
        migrations.RemoveConstraint("flag", "flag_once"),
        migrations.AddField("flag", "by_operator", models.BooleanField(default=False, editable=False)),
        migrations.AlterField("flag", "name", models.CharField(max_length=40, verbose_name="feature")),
        migrations.AlterField("flag", "is_on", models.BooleanField(default=True, verbose_name="on")),
        migrations.AddConstraint(
            "flag",
            models.UniqueConstraint(fields=["tenant", "name", "by_operator"], name="flag_once", nulls_distinct=False),
        ),
    ]
