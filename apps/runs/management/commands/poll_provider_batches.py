from typing import Any

from django.core.management.base import BaseCommand

from apps.runs.batches.due import due_files
from apps.runs.batches.files import follow
from apps.tenants.context import tenant_id_context


class Command(BaseCommand):
    help = "Ask providers about the files that are due: what workers do once a minute."

    def handle(self, *args: Any, **options: Any) -> None:
        followed = 0
        for tenant_id, file_id in due_files():
            with tenant_id_context(tenant_id):
                followed += follow(file_id)
        self.stdout.write(f"{followed} files followed.")
