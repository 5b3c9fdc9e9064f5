from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.prompts.catalog_files import BadCatalogFile
from apps.prompts.sync import sync


class Command(BaseCommand):
    help = "sync: turn changed files of the prompt catalog into new live default versions."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=["sync"])

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            versions = sync()
        except BadCatalogFile as error:
            raise CommandError(str(error)) from error
        for version in versions:
            self.stdout.write(f"{version} is live")
        if not versions:
            self.stdout.write("Every prompt is up to date.")
