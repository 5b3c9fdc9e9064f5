"""Runs whose process died before it could close them."""

from datetime import timedelta

from django.utils import timezone

from apps.tenants.platform import require_platform

from .models import Run

# Longer than any call may take: twice the total deadline, and some.
AFTER = timedelta(minutes=10)


def close_lost(after: timedelta = AFTER) -> int:
    """Close every tenant's runs that can't be under way any more; returns how many. What they cost stays unknown.

    after: the least age; none where nothing else is running.
    """
    now = timezone.now()
    lost = Run.unscoped.using(require_platform()).filter(status=Run.Status.RUNNING, created_at__lte=now - after)
    return lost.update(status=Run.Status.LOST, error_code="lost", finished_at=now)
