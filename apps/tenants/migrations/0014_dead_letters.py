import uuid

import django.db.models.deletion
from django.db import migrations, models
from django.db.models.functions import Now

import apps.tenants.context


class Migration(migrations.Migration):
    dependencies = [("tenants", "0013_queue_weight")]

    operations = [
        migrations.CreateModel(
            "DeadLetter",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("task", models.CharField(editable=False, max_length=200)),
                ("task_id", models.CharField(editable=False, max_length=80, unique=True)),
                ("queue", models.CharField(editable=False, max_length=40)),
                ("args", models.JSONField(editable=False, null=True, verbose_name="arguments")),
                ("error_class", models.CharField(editable=False, max_length=120, verbose_name="error")),
                ("error_message", models.CharField(blank=True, editable=False, max_length=500, verbose_name="what it said")),
                ("tries", models.PositiveIntegerField(default=1, editable=False)),
                ("first_at", models.DateTimeField(editable=False, verbose_name="first queued")),
                ("last_at", models.DateTimeField(editable=False, verbose_name="given up")),
                (
                    "tenant",
                    models.ForeignKey(
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={"indexes": [models.Index(fields=["tenant", "-last_at"], name="dead_letter_by_time")]},
        ),
        migrations.CreateModel(
            "Effect",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=200)),
                ("begun_at", models.DateTimeField(db_default=Now())),
                ("done_at", models.DateTimeField(null=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        default=apps.tenants.context.current_tenant_id,
                        editable=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={"constraints": [models.UniqueConstraint(fields=("tenant", "name"), name="effect_once")]},
        ),
    ]
