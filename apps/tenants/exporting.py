"""An archive of the workspace is asked for, made by a worker, kept for a week, and replaced by the next.

The same export may be made twice at once: a queue delivers again what a killed worker held. Each attempt is therefore
written to the row; the latest may write, and an earlier one stops at its next step. The archive comes to its place
whole or not at all.
"""

import contextvars
import io
import logging
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import IO
from uuid import UUID, uuid4

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.core.files import File
from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from config.fair.line import Line
from config.queues import INTERACTIVE

from . import archive, traces
from .audit import record
from .context import tenant_context, tenant_id_context
from .models import Export, User, export_path
from .platform import require_platform
from .silo import one_snapshot

log = logging.getLogger(__name__)

KEPT_FOR = timedelta(days=7)
REPORT_EVERY_S = 0.5

NO_QUEUE = "The task queue can't be reached right now. Try again in a minute."
TOO_SLOW = "Making the archive took too long. Try again at a quieter time, or ask the operator of this service."
NO_SPACE = "The disk had no room for the archive. Ask the operator of this service, or remove large documents."
INTERNAL = "Something broke on our side while the archive was made. Try again in a moment."


class Superseded(Exception):
    """Another attempt has taken over, or the export was deleted."""


def latest() -> Export | None:
    """The active tenant's newest export that is of any use still."""
    found = Export.objects.order_by("-created_at").first()
    return None if found and found.status == Export.Status.READY and not found.is_ready else found


def ask_for_export(user: User) -> Export:
    """Begin a new archive, or what has failed or stalled anew. One that is being made is left alone."""
    from .tasks import make_export

    export = Export.objects.filter(status__in=Export.UNFINISHED).first()
    if export and not export.is_stalled:
        return export
    try:
        with transaction.atomic():
            export = export or Export.objects.create(requested_by=user)
            anew = Export.objects.filter(pk=export.pk, status__in=Export.UNFINISHED)
            if not anew.update(status=Export.Status.QUEUED, attempt=None, progressed_at=Now()):
                return export  # it has just been finished
            record("export.requested")
    except IntegrityError:  # somebody else asked at the same moment
        return Export.objects.get(status__in=Export.UNFINISHED)
    try:
        make_export.delay(str(export.id))
    except BrokerError:
        log.exception("export %s could not be queued", export.id)
        fail(Export.objects.filter(pk=export.pk), NO_QUEUE)
    return export


def make(export_id: UUID) -> None:
    """Make one export of the active tenant, or store why it can't be made.

    Does nothing for one that is deleted, ready or failed. Raises OperationalError or InterfaceError when the
    database is away; the export keeps its place and the call may be repeated.
    """
    attempt = uuid4()
    claimed = Export.objects.filter(pk=export_id, status__in=Export.UNFINISHED)
    if not claimed.update(attempt=attempt, status=Export.Status.RUNNING, done=0, total=0, progressed_at=Now()):
        return
    mine = Export.objects.filter(pk=export_id, attempt=attempt)
    try:
        # Without a name, so that nothing of the tenant's stays behind when this process is killed.
        with tempfile.TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR) as file:
            with reporter(mine) as report, one_snapshot():
                report(0, archive.count_steps())
                archive.write(file, report)
            put_in_place(mine, file)
    except Superseded:
        log.info("export %s: attempt %s was superseded", export_id, attempt)
    except (OperationalError, InterfaceError):
        raise
    except SoftTimeLimitExceeded:
        fail(mine, TOO_SLOW)
    except OSError:
        log.exception("export %s could not be written", export_id)
        fail(mine, NO_SPACE)
    except Exception:
        log.exception("export %s could not be made", export_id)
        fail(mine, INTERNAL)


@contextmanager
def reporter(mine: QuerySet[Export]) -> Iterator[Callable[..., None]]:
    """report(done, total) writes how far we are, twice a second at most. It raises Superseded if we are no longer the
    ones to write.

    On a connection of its own, in a thread: the reading transaction shows nothing to others before it ends.
    """
    said_at = 0.0

    def write(**progress: int) -> bool:
        return bool(mine.update(**progress, progressed_at=Now()))

    def report(done: int, total: int | None = None) -> None:
        nonlocal said_at
        if total is None and time.monotonic() - said_at < REPORT_EVERY_S:
            return
        said_at = time.monotonic()
        progress = {"done": done} if total is None else {"done": done, "total": total}
        if not thread.submit(contextvars.copy_context().run, partial(write, **progress)).result():
            raise Superseded

    with ThreadPoolExecutor(1) as thread:
        try:
            yield report
        finally:
            thread.submit(lambda: connection.close()).result()  # that thread's


def put_in_place(mine: QuerySet[Export], file: IO[bytes]) -> None:
    """Store the archive and mark it ready; the one before it goes. Raises Superseded."""
    with transaction.atomic():
        # Locked until it is stored: who erases the workspace waits here, and then deletes the file too.
        export = mine.select_for_update().first()
        if export is None:
            raise Superseded
        export.file.storage.delete(export_path(export, ""))  # half of one, if its worker was killed just here
        export.size_bytes = file.seek(0, io.SEEK_END)
        export.file.save("", File(file), save=False)
        export.status, export.done, export.finished_at = Export.Status.READY, export.total, timezone.now()
        export.expires_at = export.finished_at + KEPT_FOR
        export.save()
        before = list(Export.objects.exclude(pk=export.pk))
    for old in before:
        delete(old)


def fail(mine: QuerySet[Export], message: str) -> None:
    mine.update(status=Export.Status.FAILED, error_message=message, finished_at=timezone.now())


def delete(export: Export) -> None:
    export.file.storage.delete(export_path(export, ""))  # which may be there though the row doesn't say so
    export.delete()


def delete_expired() -> None:
    """Delete the active tenant's archives that are past their time."""
    for export in Export.objects.filter(expires_at__lte=timezone.now()):
        delete(export)


def queue_expired() -> int:
    """Have every tenant's expired archives deleted by a worker, which has the files; returns of how many tenants."""
    from .tasks import delete_expired_exports

    expired = Export.unscoped.using(require_platform()).filter(expires_at__lte=timezone.now())
    tenants = set(expired.values_list("tenant_id", flat=True))
    for tenant_id in tenants:
        with tenant_id_context(tenant_id):
            delete_expired_exports.delay()
    return len(tenants)


def queue_orphans() -> int:
    """Queue unfinished exports that nothing was heard of lately, of tenants for whom the queue holds nothing at all;
    returns how many."""
    with traces.client() as connection:
        busy = Line(connection).busy(INTERACTIVE)
    return queue_unfinished(timezone.now() - Export.STALLED_AFTER, busy)


def queue_unfinished(quiet_since: datetime | None = None, but: Collection[str] = ()) -> int:
    """Queue every tenant's unfinished exports again; returns how many. Before the workers start: it takes them all.

    quiet_since: only those that nothing was heard of since. but: ids of tenants whose exports are left alone.
    """
    from .tasks import make_export

    unfinished = Export.unscoped.using(require_platform()).filter(status__in=Export.UNFINISHED)
    if quiet_since:
        unfinished = unfinished.filter(progressed_at__lt=quiet_since)
    waiting = [each for each in unfinished.select_related("tenant") if str(each.tenant_id) not in but]
    for export in waiting:
        with tenant_context(export.tenant):
            make_export.delay(str(export.id))
    return len(waiting)
