from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand

from apps.runs.lost import AFTER, close_lost, queue_unsent


class Command(BaseCommand):
    help = "Close runs that a killed process left open, and queue alerts that it didn't. Any time; often is fine."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--all", action="store_true", help="Nothing else is running: every open run is lost.")

    def handle(self, *args: Any, **options: Any) -> None:
        after = timedelta(0) if options["all"] else AFTER
        if count := close_lost(after):
            self.stdout.write(f"{count} runs were lost.")
        if count := queue_unsent(after):
            self.stdout.write(f"{count} workspaces have alerts that were not mailed; they are queued again.")
