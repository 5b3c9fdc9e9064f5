"""Forgetting cached answers of workspaces that nobody is acting in: an operator's and a clock's."""

from datetime import timedelta

from django.utils import timezone

from apps.tenants.context import tenant_context
from apps.tenants.platform import find_workspace, require_platform

from . import answers
from .models import CachedAnswer

KEPT_EXPIRED = timedelta(days=7)  # for when no model answers


def expire(after: timedelta = KEPT_EXPIRED) -> int:
    """Delete every tenant's answers that expired so long ago; returns how many."""
    expired = CachedAnswer.unscoped.using(require_platform()).filter(expires_at__lte=timezone.now() - after)
    return int(expired.delete()[0])


def purge_everybodys() -> int:
    """Delete every tenant's answers; returns how many."""
    return int(CachedAnswer.unscoped.using(require_platform()).all().delete()[0])


def purge_of(slug: str) -> int:
    """Delete the answers of one workspace; returns how many. Raises Tenant.DoesNotExist."""
    with tenant_context(find_workspace(slug)):
        return answers.purge()
