from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from apps.tenants.leaving import erase, leave
from apps.tenants.models import Tenant
from apps.tenants.platform import find_workspace


class Command(BaseCommand):
    help = "Delete a workspace and every trace of it. Its members' accounts stay."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("address", help="what stands after /t/ in its links")
        parser.add_argument("--yes", action="store_true", help="Don't ask.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            tenant = find_workspace(options["address"])
        except Tenant.DoesNotExist:
            raise CommandError(f"There is no workspace at /t/{options['address']}/.") from None
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        if not options["yes"]:
            question = f"{tenant.name} and everything in it will be gone. Type its address to delete it: "
            if input(question).strip() != tenant.slug:
                raise CommandError("That is not its address. Nothing was deleted.")
        leave(tenant)
        erase(tenant.id)
        self.stdout.write(f"{tenant.name} is deleted.")
