"""Tasks that were given up are kept, with the reason, until somebody has them tried again."""

import logging
import re
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from config import queues
from config.celery import FIRST_HEADER, HEADER, app

from .context import tenant_id_context
from .models import DeadLetter, Tenant
from .platform import PLATFORM

log = logging.getLogger(__name__)

SECRETS = re.compile(
    r"(?i)(?<=://)[^\s/@]+(?=@)|\bbearer\s+\S+|\b(?:sk|pk|rk|whsec|key|token)[-_][\w*.-]{4,}|[\w+/=-]{40,}"
)


def keep(task: Any, task_id: str, error: BaseException, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    """Write the row. What can't be written is logged, and the task has failed all the same."""
    log.error("%s[%s] is given up: %s", task.name, task_id, type(error).__name__)
    try:
        tenant, using = whose(task)
        if tenant and tenant.status == Tenant.Status.LEAVING:
            return
        with tenant_id_context(tenant.id) if tenant else nullcontext():
            DeadLetter.unscoped.using(using).update_or_create(
                {"tenant": tenant, **facts(task, error, args, kwargs)}, task_id=task_id
            )
    except Exception:
        log.exception("%s[%s] was given up and could not be kept", task.name, task_id)


def whose(task: Any) -> tuple[Tenant | None, str]:
    """The tenant, if it still exists, and the database alias that may write for it."""
    tenant_id = (task.request.headers or {}).get(HEADER) or task.request.get(HEADER)
    if tenant_id and (tenant := Tenant.objects.with_id(UUID(tenant_id))):
        return tenant, "default"
    return None, PLATFORM if PLATFORM in settings.DATABASES else "default"


def facts(task: Any, error: BaseException, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    request = task.request
    is_simple = not kwargs and not request.chord and all(map(is_id, args))
    published_at = request.get(FIRST_HEADER)
    return {
        "task": task.name,
        "queue": (request.delivery_info or {}).get("routing_key") or "",
        "args": list(args) if is_simple else None,
        "error_class": type(error).__name__,
        "error_message": without_secrets(str(error)),
        "tries": request.retries + 1,
        "first_at": datetime.fromtimestamp(published_at, UTC) if published_at else timezone.now(),
        "last_at": timezone.now(),
    }


def is_id(value: object) -> bool:
    if value is None or isinstance(value, int):
        return True
    try:
        return isinstance(value, str) and bool(UUID(value))
    except ValueError:
        return False


def without_secrets(text: str) -> str:
    """The first line, short, without what looks like a key or a password. A database's further lines show values."""
    first = text.strip().partition("\n")[0]
    return SECRETS.sub("[secret]", first)[:500]


def can_try_again(letter: DeadLetter) -> bool:
    return letter.args is not None and letter.task in app.tasks


def try_again(letter: DeadLetter) -> bool:
    """Queue it anew, as the tenant's; the row goes, and is back if it fails again. False if it can't be done here.

    Raises kombu's OperationalError when the queue is away; nothing is changed then.
    """
    if not can_try_again(letter):
        return False
    with (
        tenant_id_context(letter.tenant_id) if letter.tenant_id else nullcontext(),
        transaction.atomic(letter._state.db),
    ):
        route = {"queue": letter.queue} if letter.queue in queues.ALL else {}
        headers = {FIRST_HEADER: letter.first_at.timestamp()}
        app.tasks[letter.task].apply_async(letter.args, task_id=letter.task_id, headers=headers, **route)
        letter.delete()
    return True
