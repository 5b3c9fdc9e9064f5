"""The foreign key that compares the tenant is the only one; Django's own accepts another tenant's row."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0008_gateway_rls")]

    operations = [
        migrations.AlterField(
            model_name="providerkey",
            name="data_key",
            field=models.ForeignKey(
                db_constraint=False,
                editable=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="tenants.datakey",
            ),
        ),
    ]
