from typing import Any

from django.core.management.base import BaseCommand

from apps.runs.lost import close_lost


class Command(BaseCommand):
    help = "Close runs that a killed process left open. Any time; often is fine."

    def handle(self, *args: Any, **options: Any) -> None:
        if count := close_lost():
            self.stdout.write(f"{count} runs were lost.")
