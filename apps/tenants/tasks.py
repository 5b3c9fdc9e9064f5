from uuid import UUID

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded
from django.db import DatabaseError, InterfaceError, OperationalError
from redis.exceptions import RedisError

from .exporting import delete_expired, make
from .leaving import erase
from .silo import Immovable

LIMITS = {"soft_time_limit": 800, "time_limit": 850}  # below the queue's visibility timeout
AGAIN = {"retry_backoff": True, "retry_backoff_max": 60}


@shared_task(
    acks_late=True,
    autoretry_for=(OperationalError, InterfaceError),
    max_retries=20,
    **LIMITS,
    **AGAIN,
)
def make_export(export_id: str) -> None:
    make(UUID(export_id))


@shared_task(
    serves=("active", "suspended"),  # the week that was promised ends for both
    acks_late=True,
    autoretry_for=(OperationalError, InterfaceError),
    max_retries=20,
    **LIMITS,
    **AGAIN,
)
def delete_expired_exports() -> None:
    delete_expired()


@shared_task(
    platform_wide=True,  # for a tenant that may be gone already: what it left behind is removed all the same
    acks_late=True,
    autoretry_for=(DatabaseError, InterfaceError, RedisError, OSError, Immovable, SoftTimeLimitExceeded),
    max_retries=None,  # each begins where the last one ended
    **LIMITS,
    **AGAIN,
)
def erase_workspace(tenant_id: str) -> None:
    erase(UUID(tenant_id))
