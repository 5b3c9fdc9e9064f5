import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0015_dead_letters_rls")]

    operations = [
        migrations.AddField(
            "tenant",
            "seats",
            models.PositiveIntegerField(blank=True, null=True, verbose_name="members and open invitations"),
        ),
        migrations.AddField(
            "tenant",
            "features",
            django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=40), blank=True, null=True, size=None
            ),
        ),
    ]
