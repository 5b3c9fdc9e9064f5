from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.prompts import defaults, publish
from apps.prompts.catalog_files import BadCatalogFile
from apps.prompts.models import Prompt
from apps.prompts.sync import sync
from apps.tenants.context import tenant_context
from apps.tenants.models import Tenant
from apps.tenants.platform import find_workspace


class Command(BaseCommand):
    help = "The prompts of the catalog, and which of their versions are in force."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("sync", help="turn changed files of the catalog into new live default versions")
        back = actions.add_parser("rollback", help="put the version in force that was so before")
        back.add_argument("name")
        back.add_argument("--workspace", metavar="SLUG", help="of this workspace; without it, everybody's default")
        back.add_argument("--to", type=int, metavar="NUMBER", help="this version rather than the one before")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, options["action"])(options)
        except (BadCatalogFile, publish.Refused, Prompt.DoesNotExist) as error:
            raise CommandError(str(error)) from error
        except Tenant.DoesNotExist as error:
            raise CommandError(f"No workspace has the address {options['workspace']!r}.") from error

    def sync(self, options: dict[str, Any]) -> None:
        report = sync()
        for version in report.published:
            self.stdout.write(f"{version} is live")
        for version in report.on_trial:
            self.stdout.write(f"{version.prompt.name}: an experiment goes on with the versions it began with")
        for version in report.misfits:
            slug = version.tenant.slug if version.tenant else ""
            self.stderr.write(
                f"{slug}: its own {version} names a variable that the default has no more. Tell its owners, or roll "
                f"it back: prompts rollback {version.prompt.name} --workspace {slug}"
            )
        for name in report.without_file:
            self.stdout.write(f"{name} has no file in the catalog any more; its versions stay")
        self.stdout.write(f"{len(report.published)} new, {report.unchanged} unchanged.")

    def rollback(self, options: dict[str, Any]) -> None:
        name, to = options["name"], options["to"]
        if options["workspace"] is None:
            self.stdout.write(f"{defaults.roll_back(name, to=to)} is live in every workspace without its own")
            return
        workspace = find_workspace(options["workspace"])
        with tenant_context(workspace):
            version = publish.roll_back(name, to=to)
        self.stdout.write(f"{version or f'the default of {name}'} is live in {workspace.slug}")
