"""What a task does to the world outside is done once, though the task may run twice.

    with once(f"budget alert {alert.id}") as is_first:
        if is_first:
            send(...)

The key is committed before it is done. If that fails, it is forgotten and may be tried again. If the process is killed
in the middle nobody knows what came of it: after a quarter of an hour, longer than any task may take, the next one
does it again. So whoever is told should be told the key as well, as an idempotency key or a Message-ID, and can see
that it is the same.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from .models import Effect
from .platform import require_platform

NOBODY_IS_AT_IT_AFTER = timedelta(minutes=15)
KEPT_FOR = timedelta(days=90)


@contextmanager
def once(key: str) -> Iterator[bool]:
    """Whether it is the active tenant's first time. Call it outside of a transaction, which could take the key back."""
    now = timezone.now()
    mine, is_first = Effect.objects.get_or_create(key=key, defaults={"begun_at": now})
    if not is_first:
        died = Q(done_at=None, begun_at__lt=now - NOBODY_IS_AT_IT_AFTER)
        is_first = bool(Effect.objects.filter(died, pk=mine.pk).update(begun_at=now))
    if not is_first:
        yield False
        return
    try:
        yield True
    except BaseException:
        Effect.objects.filter(pk=mine.pk, begun_at=now).delete()
        raise
    Effect.objects.filter(pk=mine.pk).update(done_at=timezone.now())


def forget_old() -> int:
    """Delete every tenant's keys of what was done long ago; returns how many."""
    old = Effect.unscoped.using(require_platform()).filter(begun_at__lt=timezone.now() - KEPT_FOR)
    return int(old.delete()[0])
