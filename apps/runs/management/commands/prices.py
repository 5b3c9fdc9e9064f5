from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from apps.runs.prices import sync


class Command(BaseCommand):
    help = "sync: add the model prices this release knows; edited ones stay."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=["sync"])

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{sync()} prices added.")
