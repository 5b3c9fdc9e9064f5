from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from apps.tenants.context import tenant_id_context
from apps.tenants.models import DataKey
from apps.tenants.platform import require_platform
from apps.tenants.vault import VaultError, masters, rotation

FORGET = "DELETE FROM tenants_masterkey WHERE name <> %s AND name NOT IN (SELECT master FROM tenants_datakey)"


class Command(BaseCommand):
    help = (
        "Wrap every workspace's data key with MASTER_KEY. Those before it are read through MASTER_KEY_FALLBACKS, which "
        "can be emptied afterwards. May be repeated, and interrupted."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--data", action="store_true", help="Make new data keys and seal everything anew.")

    def handle(self, *args: Any, data: bool = False, **options: Any) -> None:
        total, failed = rotation.Counts(), 0
        try:
            current = masters.current().name
        except VaultError as error:
            raise CommandError(str(error)) from None
        owners = DataKey.unscoped.using(require_platform()).values_list("tenant_id", flat=True).distinct()
        for tenant_id in list(owners):
            with tenant_id_context(tenant_id):
                try:
                    total += rotation.renew() if data else rotation.rewrap()
                except VaultError as error:
                    failed += 1
                    self.stderr.write(f"Workspace {tenant_id}: {error}")
        with connections[require_platform()].cursor() as cursor:
            cursor.execute(FORGET, [current])
        self.stdout.write(
            f"{total.workspaces} workspaces: {total.rewrapped} data keys wrapped anew, {total.resealed} secrets sealed "
            f"anew, {total.removed} old data keys removed. The master key is {current}."
        )
        if failed:
            raise CommandError(f"{failed} workspaces were left as they are. Mend that, and run it again.")
