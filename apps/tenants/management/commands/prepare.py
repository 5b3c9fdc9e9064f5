from argparse import ArgumentParser
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Everything a release does before it serves: migrate as owner, sync prompts and prices, take up work."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--seed", action="store_true", help="Also make the two demo workspaces.")

        parser.add_argument("--alone", action="store_true", help="Nothing else is running on this database.")

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", verbosity=0, interactive=False)
        self.stdout.write("Migrated.")
        call_command("prompts", "sync", stdout=self.stdout)
        call_command("prices", "sync", stdout=self.stdout)
        call_command("close_lost_runs", all=options["alone"], stdout=self.stdout)
        call_command("queue_unfinished", stdout=self.stdout)
        call_command("finish_leaving", stdout=self.stdout)
        if options["seed"]:
            call_command("seed", stdout=self.stdout)
