from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.billing import everybody, meter, send
from apps.tenants.context import tenant_context
from apps.tenants.models import Tenant
from apps.tenants.platform import find_workspace

from .reconcile import moment


class Command(BaseCommand):
    help = "Write the meter events that are missing, and send what is due. The clock does it every few minutes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--workspace", help="its address; without it, all for whom there is something to do")
        parser.add_argument("--from", dest="begin", type=moment, help="look at settled hours again from this one on")

    def handle(self, *args: Any, **options: Any) -> None:
        begin = options["begin"]
        if options["workspace"]:
            try:
                tenant = find_workspace(options["workspace"])
            except Tenant.DoesNotExist:
                raise CommandError(f"There is no workspace at {options['workspace']}.") from None
            with tenant_context(tenant):
                made, sent = len(meter.meter(begin=begin)), send.send()
        elif begin:
            tenants = everybody.with_periods_since(begin)
            made = everybody.each(tenants, lambda: len(meter.meter(begin=meter.hour_of(begin))))
            sent = everybody.send_all()
        else:
            made, sent = everybody.meter_all(), everybody.send_all()
        self.stdout.write(f"{made:,} events written, {sent:,} sent.")
