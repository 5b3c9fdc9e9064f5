"""API keys: what a program shows, so that it may call the API for a workspace.

    corbel_<the workspace's id in hex>_<43 characters of secret>

The key names its workspace, because it is looked up before any workspace is active. Only its SHA-256 is kept. It is
looked up by that digest: how long the comparison takes tells nothing about it.
"""

import hashlib
import re
import secrets
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from .audit import record
from .context import tenant_id_context
from .members import Refused, one_at_a_time
from .models import ApiKey, User

TOKEN = re.compile(r"corbel_([0-9a-f]{32})_[A-Za-z0-9_-]{43}")
MOST_OPEN = 100

# The active tenant's key with a digest, as something has it in memory: it may have been revoked a moment ago.
kept: Callable[[str], ApiKey | None] = lambda digest: None  # noqa: E731


def make(name: str, by: User, *, expires_at: datetime | None = None) -> tuple[ApiKey, str]:
    """A key of the active workspace, and what to show for it, which nobody can find out again. Raises Refused."""
    with one_at_a_time() as tenant:
        if open_keys().count() >= MOST_OPEN:
            raise Refused(f"The workspace has {MOST_OPEN} keys. Revoke one that nobody uses.")
        token = f"corbel_{tenant.id.hex}_{secrets.token_urlsafe(32)}"
        key = ApiKey.objects.create(
            name=name, digest=digest(token), last_four=token[-4:], created_by=by, expires_at=expires_at
        )
        record("api_key.created", key, last_four=key.last_four)
    return key, token


def open_keys() -> "QuerySet[ApiKey]":
    return ApiKey.objects.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()), revoked_at=None)


def revoke(key: ApiKey) -> None:
    """No call is let in with it from now on. One that is revoked already stays so."""
    with transaction.atomic():
        if ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now()):
            record("api_key.revoked", key, last_four=key.last_four)


def find(token: str) -> ApiKey | None:
    """The key that `token` is, with its workspace, as the database has it; None unless it counts."""
    return look_up(token, lambda known: ApiKey.objects.select_related("tenant").filter(digest=known).first())


def find_kept(token: str) -> ApiKey | None:
    """The same without asking the database: None too if nothing has it in memory."""
    return look_up(token, kept)


def look_up(token: str, by_digest: Callable[[str], ApiKey | None]) -> ApiKey | None:
    match = TOKEN.fullmatch(token)
    if match is None:
        return None
    with tenant_id_context(UUID(match[1])):
        key = by_digest(digest(token))
    return key if key and key.is_open else None


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
