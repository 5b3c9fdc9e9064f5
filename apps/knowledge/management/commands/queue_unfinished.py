from typing import Any

from django.core.management.base import BaseCommand

from apps.knowledge.unfinished import queue_unfinished


class Command(BaseCommand):
    help = "Queue again the documents whose worker was killed. Run it before workers start."

    def handle(self, *args: Any, **options: Any) -> None:
        if count := queue_unfinished():
            self.stdout.write(f"{count} unfinished documents are queued again.")
