"""What becomes of a file: found again, polled, cancelled, its results read and settled.

follow(file_id)    whatever is due for it now; any number of processes may do it, and each may be killed anywhere
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from apps.tenants.threads import in_thread, surely

from .. import chain, guarding
from ..execute import known_configuration
from ..explain import Fault, explain
from ..gateway.errors import Cancelled, GatewayError, NoResult
from ..gateway.providers.batches import Batches, File, Outcome
from ..models import Batch, BatchRow, ProviderBatch, ProviderLine, Run
from ..refusals import Objectionable
from . import due, loop
from .control import finish, pause_by_itself, queue
from .costs import steps_of
from .half_price import AGAIN_AFTER, POLLED_EVERY, choice_of, send
from .lines import Ended, dissolve, end_open_lines, lines_by_run, settle_line

log = logging.getLogger(__name__)

LEASE = timedelta(minutes=5)
GIVEN_UP_AFTER = timedelta(days=2)  # past its day, for one that can't be asked for
AT_ONCE = 25
WHOLE_AGAIN_AFTER = timedelta(minutes=15)
CANCELLED_THERE = Fault(
    "cancelled",
    "The provider says that the file was cancelled, and not from here.",
    "What it had answered is kept. Resume the batch to have the rest sent again.",
)
Status = ProviderBatch.Status


def follow(file_id: UUID) -> bool:
    """Do what is due for the active tenant's file, unless another process does. Returns whether it was due."""
    lease = timezone.now() + LEASE
    free = Q(claimed_until=None) | Q(claimed_until__lt=Now())
    is_due = ProviderBatch.objects.filter(free, pk=file_id, status__in=ProviderBatch.OPEN, due_at__lte=Now())
    if not is_due.update(claimed_until=lease):
        return False
    file = ProviderBatch.objects.select_related("batch", "step", "provider_key").get(pk=file_id)
    try:
        loop.run(following(file))
    finally:
        ProviderBatch.objects.filter(pk=file_id).update(claimed_until=None)
    batch = file.batch
    batch.refresh_from_db()
    if not ProviderBatch.objects.filter(pk=file_id, status__in=ProviderBatch.OPEN).exists() and not finish(batch):
        queue(batch)
    return True


async def following(file: ProviderBatch) -> None:
    """A file that can't be asked for now is asked for later, and given up long after its day."""
    try:
        batches = chain.batches(choice_of(file))
    except LookupError:
        is_paid_unknown = file.status != Status.READY
        status = Status.LOST if is_paid_unknown else Status.FAILED
        await in_thread(dissolve, file, None, status=status, is_paid_unknown=is_paid_unknown)
        return
    try:
        if file.status == Status.READY:
            await go_ahead(file)
        elif file.status == Status.SENDING:
            await look_for(file, batches)
        else:
            await poll(file, batches)
    except GatewayError as error:
        log.warning("file %s: %s", file.pk, error)
        await in_thread(surely, later, file, error)


async def go_ahead(file: ProviderBatch) -> None:
    """Send one that surely wasn't, or end it with its batch."""
    if file.batch.status == Batch.Status.RUNNING:
        await send(file)
    elif file.batch.is_over:
        await in_thread(surely, dissolve, file, Cancelled(file.target), status=Status.CANCELLED)
    else:
        await in_thread(put_off, file, POLLED_EVERY)


def put_off(file: ProviderBatch, by: timedelta) -> None:
    ProviderBatch.objects.filter(pk=file.pk).update(due_at=Now() + by)


def later(file: ProviderBatch, error: GatewayError) -> None:
    why = explain(error)
    since = file.expires_at or (file.sending_at or file.created_at) + timedelta(days=1)
    if timezone.now() > since + GIVEN_UP_AFTER:
        dissolve(file, error, status=Status.LOST, is_paid_unknown=True)
        return
    after = max(AGAIN_AFTER, timedelta(seconds=error.retry_after_s or 0))
    ProviderBatch.objects.filter(pk=file.pk).update(
        due_at=Now() + after, polled_at=Now(), error_code=why.code[:40], error_message=why.message[:400]
    )


async def look_for(file: ProviderBatch, batches: Batches[Any]) -> None:
    """Take up a file that was sent by a process which never heard what came of that; or have it sent again."""
    assert file.sending_at is not None
    found = await batches.find(file.pk.hex, since=file.sending_at, total=file.line_count)
    ids = [each.external_id for each in found if each.external_id not in file.tried_ids]
    others = await in_thread(due.known_elsewhere, ids, but=file.pk)
    ours = next((each for each in found if each.external_id in ids and each.external_id not in others), None)
    sending = ProviderBatch.objects.filter(pk=file.pk, status=Status.SENDING)
    if ours is None:
        log.warning("file %s never reached its provider; it is sent again", file.pk)
        await in_thread(sending.update, status=Status.READY, due_at=Now())
        return
    expires_at = ours.expires_at or timezone.now() + timedelta(days=1)
    await in_thread(
        sending.update, status=Status.SENT, external_id=ours.external_id, expires_at=expires_at, due_at=Now()
    )


async def poll(file: ProviderBatch, batches: Batches[Any]) -> None:
    if file.batch.status == Batch.Status.CANCELLED and file.cancelled_at is None:
        await batches.cancel(file.external_id)
        await in_thread(ProviderBatch.objects.filter(pk=file.pk).update, cancelled_at=Now())
    there = await batches.poll(file.external_id)
    if not there.has_ended:
        await in_thread(note, file, there, POLLED_EVERY)
    elif there.failure:
        await in_thread(surely, refused_whole, file, there.failure)
    else:
        await settle(file, batches, there)


def note(file: ProviderBatch, there: File, after: timedelta) -> None:
    ProviderBatch.objects.filter(pk=file.pk).update(
        polled_at=Now(),
        due_at=Now() + after,
        succeeded=there.succeeded,
        failed=there.failed,
        expires_at=there.expires_at or file.expires_at,
        error_code="",
        error_message="",
    )


def refused_whole(file: ProviderBatch, failure: GatewayError) -> None:
    """No line of it was asked. Where the provider has too much to do already, they wait for a while."""
    rows = list(file.lines.filter(settled_at=None).values_list("row_id", flat=True))
    dissolve(file, failure, status=Status.FAILED)
    waiting = BatchRow.objects.filter(pk__in=rows, status=BatchRow.Status.WAITING)
    waiting.update(claimed_until=Now() + WHOLE_AGAIN_AFTER)


@dataclass
class Heard:
    """What the results have said: lines, how many of them ours, how many replies."""

    lines: int = 0
    ours: int = 0
    replies: int = 0
    codes: set[str] = field(default_factory=set)


async def settle(file: ProviderBatch, batches: Batches[Any], there: File) -> None:
    """Read all of what came of it, settling as it comes, and then what nothing was said of."""
    heard, some = Heard(), []
    try:
        async for outcome in batches.results(there):
            some.append(outcome)
            if len(some) == AT_ONCE:
                await settle_some(file, some, heard)
                some = []
    except GatewayError:  # what was heard before the connection broke holds
        await settle_some(file, some, heard)
        raise
    await settle_some(file, some, heard)
    if heard.lines and not heard.ours and file.submitted_at is None:
        await in_thread(not_ours, file)
        return
    await in_thread(surely, end, file, there, heard)


async def settle_some(file: ProviderBatch, outcomes: Sequence[Outcome], heard: Heard) -> None:
    known = await in_thread(lines_by_run, file, [outcome.custom_id for outcome in outcomes])
    settling = []
    heard.lines += len(outcomes)
    for outcome in outcomes:
        if outcome.custom_id not in known:
            log.warning("file %s: a result is of no line of it", file.pk)
            continue
        heard.ours += 1
        heard.replies += outcome.reply is not None or bool(outcome.error and outcome.error.usage)
        if outcome.error:
            heard.codes.add(outcome.error.code)
        if line_id := known[outcome.custom_id]:
            settling.append((line_id, await guarded(outcome, line_id)))
    await in_thread(settle_all, file, settling)


def settle_all(file: ProviderBatch, settling: Sequence[tuple[UUID, Ended]]) -> None:
    """One after the other, in transactions of their own: the ledger is locked for a moment only."""
    steps = steps_of(file.batch)
    for line_id, ended in settling:
        surely(settle_line, line_id, ended, file=file, steps=steps)
    ProviderBatch.objects.filter(pk=file.pk).update(claimed_until=timezone.now() + LEASE)


async def guarded(outcome: Outcome, line_id: UUID) -> Ended:
    """What the guard says of an answer, where the workspace has answers read by moderation."""
    configured = await known_configuration()
    if outcome.reply is None or not configured.policy.moderates:
        return Ended(outcome)
    line = await in_thread(ProviderLine.objects.select_related("run__user", "run__batch").get, pk=line_id)
    run: Run = line.run
    before = len(run.flags)
    watch = guarding.Watch(heard_by_nobody, guarding.NOTHING, run=run, configuration=configured)
    try:
        await watch(outcome.reply.text)
        await watch.finish()
    except Objectionable as objection:
        return Ended(outcome, objection=objection)
    return Ended(outcome, flags=tuple(run.flags[before:]))


async def heard_by_nobody(_: str) -> None:
    pass


def not_ours(file: ProviderBatch) -> None:
    """It looked like this file, and is another's."""
    log.warning("file %s was taken for %s, which is another's", file.pk, file.external_id)
    ProviderBatch.objects.filter(pk=file.pk).update(
        status=Status.SENDING,
        tried_ids=[*file.tried_ids, file.external_id],
        external_id="",
        expires_at=None,
        due_at=Now(),
    )


def end(file: ProviderBatch, there: File, heard: Heard) -> None:
    """Lines of which nothing was said cost nothing, unless the provider counts more answers than it gave."""
    is_paid_unknown = there.succeeded > heard.replies
    end_open_lines(file, Ended(error=NoResult(file.target), is_paid_unknown=is_paid_unknown))
    status = Status.DONE
    if there.is_cancelled:
        status = Status.CANCELLED
    elif "expired" in heard.codes:
        status = Status.EXPIRED
    ProviderBatch.objects.filter(pk=file.pk).update(
        status=status,
        polled_at=Now(),
        finished_at=Now(),
        due_at=None,
        succeeded=there.succeeded,
        failed=there.failed,
        error_code="",
        error_message="",
    )
    if there.is_cancelled and file.cancelled_at is None:
        pause_by_itself(file.batch, CANCELLED_THERE)
