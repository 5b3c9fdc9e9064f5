from argparse import ArgumentParser
from typing import Any

import stripe
from django.core.management.base import BaseCommand, CommandError

from apps.billing import stripe_client, stripe_sync
from apps.billing.plan_files import BadPlanFile
from apps.billing.stripe_client import NotSetUp

MARKS = {"same": " ", "create": "+", "update": "~", "replace": "±"}


class Command(BaseCommand):
    help = "Make or change what Stripe must have for the plans of apps/billing/plans: meters, products, prices."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what differs and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        counts = dict.fromkeys(MARKS, 0)
        try:
            api = stripe_client.client()
            for change in stripe_sync.compare(api):
                counts[change.kind] += 1
                self.stdout.write(f"{MARKS[change.kind]} {change.thing}{f': {change.detail}' if change.detail else ''}")
                if not options["dry_run"]:
                    change.make()
        except (BadPlanFile, NotSetUp) as error:
            raise CommandError(str(error)) from error
        except stripe.StripeError as error:
            raise CommandError(f"Stripe said: {error.user_message or error}") from error
        done = "to do" if options["dry_run"] else "done"
        self.stdout.write(
            f"{counts['create']} made, {counts['update']} changed, {counts['replace']} replaced, "
            f"{counts['same']} as they should be: {done}."
        )
