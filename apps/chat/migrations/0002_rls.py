from django.db import migrations

from apps.tenants.rls import Isolate, SameTenant


class Migration(migrations.Migration):
    dependencies = [("chat", "0001_initial"), ("knowledge", "0002_rls"), ("runs", "0002_rls")]

    operations = [
        Isolate("chat_conversation"),
        Isolate("chat_message"),
        Isolate("chat_citation"),
        SameTenant("chat_message", "conversation_id", "chat_conversation"),
        SameTenant("chat_message", "in_reply_to_id", "chat_message"),
        SameTenant("chat_message", "run_id", "runs_run", on_delete="SET NULL"),
        SameTenant("chat_citation", "message_id", "chat_message"),
        SameTenant("chat_citation", "document_id", "knowledge_document"),
    ]
