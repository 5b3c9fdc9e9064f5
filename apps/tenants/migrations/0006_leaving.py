import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tenants', '0005_silos'),
    ]

    operations = [
        migrations.AddField(
            model_name='export',
            name='attempt',
            field=models.UUIDField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='export',
            name='progressed_at',
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
        ),
        migrations.AddIndex(
            model_name='auditevent',
            index=models.Index(fields=['tenant', 'actor_email', '-at'], name='audit_by_person'),
        ),
        migrations.AddIndex(
            model_name='auditevent',
            index=models.Index(fields=['tenant', 'action', '-at'], name='audit_by_action'),
        ),
        migrations.AddConstraint(
            model_name='export',
            constraint=models.UniqueConstraint(condition=models.Q(('status__in', ['queued', 'running'])), fields=('tenant',), name='export_one_at_a_time'),
        ),
    ]
