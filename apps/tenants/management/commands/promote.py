import time
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError

from apps.tenants import features, silo
from apps.tenants.features import NotIncluded
from apps.tenants.migrate import as_owner
from apps.tenants.models import Tenant
from apps.tenants.move import Immovable
from apps.tenants.platform import find_workspace


class Command(BaseCommand):
    help = "Move a workspace from the pool into a schema of its own, while it is being used."
    move, done, nothing_to_do = staticmethod(silo.promote), "now has a schema of its own", "already is a silo"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="the workspace's address, as in /t/<slug>/")

    def handle(self, *args: Any, slug: str, **options: Any) -> None:
        try:
            tenant = find_workspace(slug)
            self.require(tenant)
            began = time.monotonic()
            with as_owner():
                moved = self.move(tenant, report=self.report)
        except Tenant.DoesNotExist:
            raise CommandError(f"There is no workspace at /t/{slug}/.") from None
        except IntegrityError as error:
            raise CommandError(f"Nothing was moved, try again: {error}") from error
        except (Immovable, ImproperlyConfigured, NotIncluded) as error:
            raise CommandError(str(error)) from error
        took = f" ({time.monotonic() - began:.1f} s)" if moved else ""
        self.stdout.write(f"{tenant.name} {self.done if moved else self.nothing_to_do}.{took}")

    def require(self, tenant: Tenant) -> None:
        """Raises NotIncluded where the plan has no schema of its own."""
        features.require(tenant, "silo")

    def report(self, line: str) -> None:
        self.stdout.write(f"  {line}")
        self.stdout.flush()
