"""Batches that nobody works at: their worker was killed, the queue lost its memory, or what paused them is over."""

import logging
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.tenants.context import current_tenant_id, tenant_id_context
from apps.tenants.models import Tenant
from apps.tenants.platform import require_platform

from ..models import Batch
from ..refusals import SwitchedOff
from .control import queue, resume
from .errors import Refused

log = logging.getLogger(__name__)


def resume_paused() -> int:
    """Go on with every tenant's batches whose pause is over, and queue those that nobody works at; returns how many.

    Any number of processes may do it at the same time, as often as they like.
    """
    now = timezone.now()
    is_due = Q(status=Batch.Status.PAUSED, resumes_at__lte=now)
    is_left = Q(status=Batch.Status.RUNNING) & (Q(worked_until=None) | Q(worked_until__lt=now))
    found = everybodys().filter(is_due | is_left)
    return sum(take_up(tenant_id, batch_id) for tenant_id, batch_id in found.values_list("tenant_id", "id"))


def everybodys() -> QuerySet[Batch]:
    return Batch.unscoped.using(require_platform()).filter(tenant__status=Tenant.Status.ACTIVE)


def take_up(tenant_id: UUID, batch_id: UUID) -> bool:
    with tenant_id_context(tenant_id):
        batch = Batch.objects.filter(pk=batch_id).first()
        if batch is None:
            return False
        if batch.status == Batch.Status.RUNNING:
            queue(batch)
            return True
        try:
            resume(batch, by_itself=True)
        except Refused as refused:  # switched off meanwhile, or somebody was faster
            log.info("batch %s is not resumed: %s", batch_id, refused)
            return False
        return True


def queue_own_running(**_: Any) -> None:
    """The active tenant's: it was suspended until now, and workers refused them."""
    for batch in Batch.objects.filter(status=Batch.Status.RUNNING):
        queue(batch)


def resume_switched_off(**_: Any) -> None:
    """Batches are switched on again, for the active tenant or without one for everybody: what that paused goes on."""
    tenant_id = current_tenant_id()
    found = Batch.objects.all() if tenant_id else everybodys()
    paused = found.filter(status=Batch.Status.PAUSED, pause_code=SwitchedOff.code)
    for owner_id, batch_id in list(paused.values_list("tenant_id", "id")):
        take_up(owner_id, batch_id)
