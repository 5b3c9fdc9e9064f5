"""What a task does to the world outside is done once, though the task may run twice.

    with once(f"budget alert {alert.id}") as turn:
        if turn is Turn.MINE:
            send(...)

The name is committed before it is done. If doing it fails, the name is forgotten, and it may be tried again. If the
process is killed in the middle nobody knows what came of it: after a quarter of an hour, longer than any task may take,
it is the next one's turn. So whoever is told should be told the name as well, as an idempotency key or a Message-ID,
and can see that it is the same.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import Enum

from django.db.models import Q
from django.utils import timezone

from .models import Effect
from .platform import require_platform

NOBODY_IS_AT_IT_AFTER = timedelta(minutes=15)
KEPT_FOR = timedelta(days=90)


class Turn(Enum):
    MINE = "do it"
    OTHERS = "somebody is doing it, or died at it just now"
    DONE = "it was done before"


@contextmanager
def once(name: str) -> Iterator[Turn]:
    """Whose turn it is to do what the active tenant calls that. Use it outside of a transaction, which could take the
    name back."""
    now = timezone.now()
    effect, is_mine = Effect.objects.get_or_create(name=name, defaults={"begun_at": now})
    if not is_mine and effect.done_at is None:
        died = Q(done_at=None, begun_at__lt=now - NOBODY_IS_AT_IT_AFTER)
        is_mine = bool(Effect.objects.filter(died, pk=effect.pk).update(begun_at=now))
    if not is_mine:
        yield Turn.DONE if effect.done_at else Turn.OTHERS
        return
    try:
        yield Turn.MINE
    except BaseException:
        Effect.objects.filter(pk=effect.pk, begun_at=now).delete()
        raise
    Effect.objects.filter(pk=effect.pk).update(done_at=timezone.now())


def forget_old() -> int:
    """Delete every tenant's names of what was done long ago; returns how many."""
    old = Effect.unscoped.using(require_platform()).filter(begun_at__lt=timezone.now() - KEPT_FOR)
    return int(old.delete()[0])
