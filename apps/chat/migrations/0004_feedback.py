import apps.tenants.context
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("chat", "0003_marks_and_reset_time"),
        ("runs", "0009_experiment_arm_and_rating"),
        ("tenants", "0011_flag_by_operator"),
    ]

    operations = [
        migrations.CreateModel(
            name="Feedback",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("rating", models.SmallIntegerField(choices=[(1, "Good"), (-1, "Bad")])),
                (
                    "reason",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("wrong", "It is wrong"),
                            ("unsupported", "The documents don’t say that"),
                            ("incomplete", "Something is missing"),
                            ("outdated", "It is out of date"),
                            ("other", "Something else"),
                        ],
                        max_length=12,
                    ),
                ),
                ("comment", models.TextField(blank=True, validators=[django.core.validators.MaxLengthValidator(2000)])),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "message",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="feedback",
                        to="chat.message",
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="runs.run",
                    ),
                ),
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
            options={
                "indexes": [models.Index(fields=["tenant", "-updated_at"], name="feedback_by_time")],
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "message"), name="feedback_once_per_message"),
                    models.UniqueConstraint(
                        condition=models.Q(("message", None)),
                        fields=("tenant", "run"),
                        name="feedback_once_per_programs_run",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("message__isnull", False), ("run__isnull", False), _connector="OR"),
                        name="feedback_is_on_something",
                    ),
                    models.CheckConstraint(condition=models.Q(("rating__in", [-1, 1])), name="feedback_is_a_thumb"),
                    models.CheckConstraint(
                        condition=models.Q(("rating", -1), ("reason", ""), _connector="OR"),
                        name="feedback_reason_is_of_a_thumb_down",
                    ),
                ],
            },
        ),
    ]
