"""How much of the workers a workspace gets while others wait too: a column, and a copy of it where turns are given."""

import logging
from functools import partial
from uuid import UUID

from django.db import transaction
from redis.exceptions import RedisError

from .context import tenant_id_context
from .models import Tenant
from .platform import require_platform
from .traces import client

log = logging.getLogger(__name__)

WEIGHTS = "queue:weights"


def change(tenant: Tenant, weight: float) -> None:
    """From 0.1 to 100; 1 is everybody's. It counts from the workspace's next turn on."""
    tenant.queue_weight = weight
    tenant.clean_fields(exclude={field.name for field in Tenant._meta.fields} - {"queue_weight"})
    with tenant_id_context(tenant.id):
        Tenant.objects.filter(pk=tenant.pk).update(queue_weight=weight)
        transaction.on_commit(partial(tell, tenant.id, weight))


def tell(tenant_id: UUID, weight: float) -> None:
    try:
        with client() as connection:
            connection.hset(WEIGHTS, str(tenant_id), weight)
    except RedisError:
        log.warning("the queue's server is away; it is told of the weight of %s within the hour", tenant_id)


def copy_all() -> int:
    """Write every weight that isn't 1 where turns are given, in place of what is there; returns how many."""
    special = Tenant.objects.using(require_platform()).exclude(queue_weight=1)
    weights = {str(tenant_id): weight for tenant_id, weight in special.values_list("id", "queue_weight")}
    with client() as connection, connection.pipeline() as pipe:
        pipe.delete(WEIGHTS)
        if weights:
            pipe.hset(WEIGHTS, mapping=weights)
        pipe.execute()
    return len(weights)
