from uuid import UUID

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded
from django.db import DatabaseError, InterfaceError
from redis.exceptions import RedisError

from . import queue_weight
from .exporting import delete_expired, make, queue_expired, queue_orphans
from .leaving import erase, queue_interrupted
from .once import forget_old
from .silo import Immovable

LIMITS = {"soft_time_limit": 800, "time_limit": 850}


@shared_task(max_retries=20, **LIMITS)
def make_export(export_id: str) -> None:
    make(UUID(export_id))


@shared_task(
    serves=("active", "suspended"),  # the week that was promised ends for both
    max_retries=20,
    **LIMITS,
)
def delete_expired_exports() -> None:
    delete_expired()


@shared_task(
    platform_wide=True,  # for a tenant that may be gone already: what it left behind is removed all the same
    retries_on=(DatabaseError, InterfaceError, RedisError, OSError, Immovable, SoftTimeLimitExceeded),
    max_retries=None,  # each begins where the last one ended
    **LIMITS,
)
def erase_workspace(tenant_id: str) -> None:
    erase(UUID(tenant_id))


@shared_task(platform_wide=True)  # whose, it finds out itself
def finish_leaving() -> None:
    queue_interrupted()
    queue_orphans()
    queue_expired()
    forget_old()


@shared_task(platform_wide=True)  # of all tenants at once
def copy_queue_weights() -> None:
    queue_weight.copy_all()
