"""Every tenant's files with providers for which something is due."""

import logging
from collections.abc import Collection
from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Now
from kombu.exceptions import OperationalError as BrokerError

from apps.tenants.context import tenant_id_context
from apps.tenants.models import Tenant
from apps.tenants.platform import require_platform

from ..models import ProviderBatch

log = logging.getLogger(__name__)


def due_files() -> list[tuple[UUID, UUID]]:
    """Of which tenants, and which: those that nobody is at, the longest due first."""
    free = Q(claimed_until=None) | Q(claimed_until__lt=Now())
    files = ProviderBatch.unscoped.using(require_platform()).filter(free, status__in=ProviderBatch.OPEN)
    files = files.filter(due_at__lte=Now(), tenant__status=Tenant.Status.ACTIVE)
    return list(files.order_by("due_at").values_list("tenant_id", "id"))


def queue_due() -> int:
    """Have each followed by a worker, in its tenant's turn; returns how many. What the queue loses is due again."""
    from ..tasks import follow_provider_batch

    found = due_files()
    for tenant_id, file_id in found:
        try:
            with tenant_id_context(tenant_id):
                follow_provider_batch.delay(str(file_id))
        except BrokerError:
            log.exception("file %s could not be queued", file_id)
    return len(found)


def known_elsewhere(external_ids: Collection[str], *, but: UUID) -> set[str]:
    """Those of the providers' ids that are another file's, whosever it is: an installation's account is everybody's."""
    files = ProviderBatch.unscoped.using(require_platform()).filter(external_id__in=external_ids).exclude(pk=but)
    return set(files.values_list("external_id", flat=True))
