from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0012_samples_answers")]

    operations = [
        migrations.AddField(
            "tenant",
            "queue_weight",
            models.FloatField(
                default=1,
                validators=[MinValueValidator(0.1), MaxValueValidator(100)],
                verbose_name="weight in the queues",
            ),
        ),
    ]
