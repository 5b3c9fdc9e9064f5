from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from apps.runs.purge import expire, purge_everybodys, purge_of
from apps.tenants.models import Tenant


class Command(BaseCommand):
    help = "Forget the answers that are kept to be given again: of every workspace, or of one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--workspace", metavar="ADDRESS", help="what stands after /t/ in its links")
        which.add_argument("--expired", action="store_true", help="Only what expired a week ago. Daily is fine.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["workspace"]:
                count = purge_of(options["workspace"])
            else:
                count = expire() if options["expired"] else purge_everybodys()
        except Tenant.DoesNotExist:
            raise CommandError(f"There is no workspace at /t/{options['workspace']}/.") from None
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{count:,} answers are forgotten.")
