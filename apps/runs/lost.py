"""What a process that died left behind: runs that nobody closed, alerts that nobody mailed, batches nobody works at.

Files that providers have are looked after here too, where no other clock does it.
"""

import logging
from datetime import timedelta

from django.db.models import Exists, OuterRef
from django.utils import timezone

from apps.tenants.context import tenant_id_context
from apps.tenants.platform import require_platform

from . import alerts, ledger, purge
from .batches.due import queue_due
from .batches.unfinished import resume_paused
from .models import Alert, ProviderLine, Run

log = logging.getLogger(__name__)

# Longer than any call may take: twice the total deadline, and some.
AFTER = timedelta(minutes=10)


def close_lost(after: timedelta = AFTER) -> int:
    """Close every tenant's runs that can't be under way any more, at all that they had reserved; returns how many.

    after: the least age; none where nothing else is running. Those that a provider has in a file take a day.
    A run that ends after all corrects that: the ledger takes its real cost then.
    """
    in_a_file = ProviderLine.unscoped.filter(run=OuterRef("pk"), settled_at=None)
    lost = Run.unscoped.using(require_platform()).filter(
        ~Exists(in_a_file), status=Run.Status.RUNNING, created_at__lte=timezone.now() - after
    )
    closed = 0
    for tenant_id, run_id in lost.order_by("created_at").values_list("tenant_id", "id"):
        with tenant_id_context(tenant_id):
            was_open, given = ledger.close_lost(tenant_id, run_id)
            alerts.send(given)
        closed += was_open
    return closed


def queue_unsent(after: timedelta = AFTER) -> int:
    """Have every tenant's alerts mailed that are older than that and still unsent; returns of how many tenants."""
    unsent = Alert.unscoped.using(require_platform()).filter(sent_at=None, created_at__lte=timezone.now() - after)
    tenants = set(unsent.values_list("tenant_id", flat=True))
    for tenant_id in tenants:
        alerts.queue(tenant_id)
    return len(tenants)


def sweep() -> None:
    """All of it, and cached answers that expired long ago. Any number of processes may do it at the same time."""
    if count := close_lost():
        log.warning("%s runs were lost: their process died", count)
    queue_unsent()
    resume_paused()
    queue_due()
    purge.expire()
