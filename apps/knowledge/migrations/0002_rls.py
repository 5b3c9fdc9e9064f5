from django.db import migrations

from apps.tenants.rls import Isolate, SameTenant


class Migration(migrations.Migration):
    dependencies = [("knowledge", "0001_initial")]

    operations = [
        Isolate("knowledge_document"),
        Isolate("knowledge_chunk"),
        SameTenant("knowledge_chunk", "document_id", "knowledge_document"),
    ]
