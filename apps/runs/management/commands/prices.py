from argparse import ArgumentParser, ArgumentTypeError
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand

from apps.runs.models import Processing
from apps.runs.prices import enter, sync


def dollars(text: str) -> Decimal:
    try:
        usd = Decimal(text)
    except InvalidOperation:
        usd = Decimal(-1)
    if not usd.is_finite() or usd < 0:
        raise ArgumentTypeError(f"{text} is no amount of US dollars. Write one such as 0.25, or 0.")
    return usd


class Command(BaseCommand):
    help = "The prices of models, in US dollars per million tokens."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("sync", help="add the prices this release knows; edited ones stay")
        one = actions.add_parser("set", help="what a model costs from today on, such as 0 0 for one of your own")
        one.add_argument("provider", help="openai, anthropic or a name of PROVIDERS")
        one.add_argument("model")
        one.add_argument("input_usd", type=dollars)
        one.add_argument("output_usd", type=dollars)
        one.add_argument("--batch", action="store_true", help="in files that are answered within 24 hours")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "sync":
            self.stdout.write(f"{sync()} prices added.")
            return
        price = enter(
            options["provider"],
            options["model"],
            input_usd=options["input_usd"],
            output_usd=options["output_usd"],
            processing=Processing.BATCH if options["batch"] else Processing.ONLINE,
        )
        how = ", within 24 hours" if options["batch"] else ""
        self.stdout.write(f"{price.provider} {price.model}{how}: ${price.input_usd} in, ${price.output_usd} out.")
