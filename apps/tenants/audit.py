"""Who did what to which thing, when, from where: one row in the workspace's log."""

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import models
from django.http import HttpRequest

from .context import current_scope
from .models import AuditEvent, User


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from: its address, None when there is none to trust, and its browser's name."""

    ip: str | None = None
    user_agent: str = ""


NOWHERE = Origin()
_origin: ContextVar[Origin] = ContextVar("origin", default=NOWHERE)


@contextmanager
def coming_from(request: HttpRequest) -> Iterator[None]:
    origin = Origin(client_ip(request), request.headers.get("User-Agent", "")[:200])
    token = _origin.set(origin)
    try:
        yield
    finally:
        _origin.reset(token)


def client_ip(request: HttpRequest) -> str | None:
    """The address that reached us, or that our own proxy says reached it: clients can write the rest of that header."""
    address = request.META.get("REMOTE_ADDR", "")
    if settings.BEHIND_PROXY:
        address = request.headers.get("X-Forwarded-For", address).rpartition(",")[2].strip()
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return None


def record(action: str, target: models.Model | None = None, **details: Any) -> AuditEvent:
    """Write one event of the active tenant, by the acting user. Call it in the transaction of what it records.

    action: subject and past participle, such as "member.removed".
    details: what changed, as JSON; no secrets.
    Raises NoTenant outside a tenant's context.
    """
    scope, origin = current_scope(), _origin.get()
    actor = User.objects.filter(pk=scope.user_id).first() if scope.user_id else None
    return AuditEvent.objects.create(
        actor=actor,
        actor_email=actor.email if actor else "",
        action=action,
        target_type=target._meta.model_name or "" if target else "",
        target_id=str(target.pk) if target else "",
        target_name=str(target)[:300] if target else "",
        details=details,
        ip=origin.ip,
        user_agent=origin.user_agent,
    )
