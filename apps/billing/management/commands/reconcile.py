import sys
from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import stripe
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apps.billing import everybody, meter
from apps.billing.reconcile import Line, reconcile
from apps.billing.stripe_client import NotSetUp
from apps.tenants.context import tenant_id_context
from apps.tenants.models import Tenant
from apps.tenants.platform import find_workspace


def moment(text: str) -> datetime:
    """A day or a whole hour, in UTC."""
    for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M"):
        try:
            at = datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        if at.minute == 0:
            return at
    raise ArgumentTypeError(f"{text} is no day and no whole hour. Write 2026-11-28 or 2026-11-28T09:00, in UTC.")


class Command(BaseCommand):
    help = "Compare runs, ledger, outbox and Stripe's sums, to the token and cent. Exits with 1 on any difference."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--workspace", help="its address; without it, all that have or had a plan")
        parser.add_argument("--from", dest="begin", type=moment, help="a day or hour in UTC; else this month's first")
        parser.add_argument("--to", dest="end", type=moment, help="until before; else the last hour that is over")
        parser.add_argument("--all-lines", action="store_true", help="also those without a difference")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        end = min(options["end"] or meter.closed(now), meter.closed(now))
        begin = options["begin"] or end.replace(day=1, hour=0)
        if begin >= end:
            raise CommandError(f"From {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} there is no hour that is over.")
        tenants = self.tenants(options["workspace"], begin)
        lines = self.compare(tenants, begin, end)
        off = [row for row in lines if row[1].difference]
        self.show(lines if options["all_lines"] or options["workspace"] else off)
        compared = f"{len(lines):,} sums of {len(tenants):,} workspaces, {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"
        self.stdout.write(f"{compared} UTC: {f'{len(off):,} differ' if off else 'no difference'}.")
        if settings.BILLING != "stripe":
            self.stdout.write(f"BILLING is {settings.BILLING}: Stripe was not asked.")
        if off:
            sys.exit(1)

    def tenants(self, slug: str | None, begin: datetime) -> list[UUID]:
        if not slug:
            return everybody.with_periods_since(begin)
        try:
            return [find_workspace(slug).id]
        except Tenant.DoesNotExist:
            raise CommandError(f"There is no workspace at {slug}. `--workspace` takes its address.") from None

    def compare(self, tenants: list[UUID], begin: datetime, end: datetime) -> list[tuple[str, Line]]:
        lines = []
        try:
            for number, tenant_id in enumerate(tenants, start=1):
                if sys.stderr.isatty():
                    self.stderr.write(f"\r{number:,} of {len(tenants):,}", ending="")
                with tenant_id_context(tenant_id):
                    slug = Tenant.objects.get(pk=tenant_id).slug
                    found = reconcile(begin, end, with_stripe=settings.BILLING == "stripe")
                    lines += [(slug, line) for line in found]
        except NotSetUp as error:
            raise CommandError(str(error)) from error
        except stripe.StripeError as error:
            raise CommandError(f"Stripe said: {error.user_message or error}") from error
        return lines

    def show(self, lines: list[tuple[str, Line]]) -> None:
        rows = [("workspace", "what", "unit", "", "here", "", "there", "difference")]
        rows += [
            (
                slug,
                line.what,
                line.unit,
                line.left,
                plain(line.here),
                line.right,
                plain(line.there),
                plain(line.difference),
            )
            for slug, line in lines
        ]
        if len(rows) == 1:
            return
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for row in rows:
            cells = [
                text.rjust(width) if column in (4, 6, 7) else text.ljust(width)
                for column, (text, width) in enumerate(zip(row, widths, strict=True))
            ]
            self.stdout.write("  ".join(cells).rstrip())


def plain(amount: Decimal) -> str:
    return f"{amount:,f}".rstrip("0").rstrip(".") if "." in f"{amount:f}" else f"{amount:,f}"
