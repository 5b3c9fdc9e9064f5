from typing import Any

from django.core.management.base import BaseCommand

from apps.tenants.exporting import queue_expired, queue_unfinished
from apps.tenants.leaving import queue_interrupted


class Command(BaseCommand):
    help = "Go on with deletions and exports that were interrupted, and have expired exports deleted. Run it daily."

    def handle(self, *args: Any, **options: Any) -> None:
        for count, what in (
            (queue_interrupted(), "interrupted deletions of workspaces are queued again"),
            (queue_unfinished(), "unfinished exports are queued again"),
            (queue_expired(), "workspaces have expired exports, which are being deleted"),
        ):
            if count:
                self.stdout.write(f"{count} {what}.")
