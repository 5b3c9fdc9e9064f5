from django.db import migrations

from apps.tenants.rls import Isolate, SameTenant


class Migration(migrations.Migration):
    dependencies = [("chat", "0004_feedback"), ("runs", "0002_rls")]

    operations = [
        Isolate("chat_feedback"),
        SameTenant("chat_feedback", "message_id", "chat_message"),
        SameTenant("chat_feedback", "run_id", "runs_run"),
    ]
