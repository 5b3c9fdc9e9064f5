from django.db import migrations

from apps.tenants.rls import Isolate, SameTenant


class Migration(migrations.Migration):
    dependencies = [("chat", "0006_quality"), ("runs", "0002_rls")]

    operations = [
        Isolate("chat_evalcase"),
        Isolate("chat_evalreport"),
        SameTenant("chat_evalcase", "message_id", "chat_message", on_delete="SET NULL"),
        SameTenant("chat_evalcase", "run_id", "runs_run", on_delete="SET NULL"),
    ]
