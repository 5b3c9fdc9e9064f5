"""What becomes of a line of a file: its run is closed at the batch price, its result kept, its row moved on.

All of that is one transaction, and only for a line that is still open: however often a poll is killed and repeated, a
line is settled once.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from django.db import DataError, IntegrityError, transaction
from django.db.models.functions import Now

from apps.tenants.context import require_tenant_id

from .. import alerts, configuration, ledger
from ..admit import Call
from ..chain import Choice
from ..explain import INTERNAL, Fault, explain
from ..gateway.errors import Cancelled, GatewayError, NoResult
from ..gateway.providers.batches import Outcome
from ..gateway.types import Attempt, Request, Usage
from ..models import Batch, BatchResult, BatchRow, BatchStep, ProviderBatch, ProviderLine, Run
from ..refusals import Objectionable
from ..schema_models import model_of
from ..settle import answered, failed, settle, stopped
from ..structured import Malformed, checked
from . import claims
from .answer import fail, kept, mine
from .control import pause_by_itself
from .costs import steps_of
from .steps import finished, next_of, request_for

log = logging.getLogger(__name__)

MOST_TRIES = 3  # of one step of a row, where it may work in another file
MOST_MALFORMED = 2
REFUSED_WHOLE = (ProviderBatch.Status.FAILED,)  # files of which no line was asked
ERROR_CHARS = 400


@dataclass(frozen=True, slots=True)
class Ended:
    """How a line ended: with an outcome of the provider's, to which the guard may object; or with none, for `error`.

    is_paid_unknown: nobody knows whether it was answered, so it counts as if it had taken all that it reserved.
    is_whole: so did the whole file, which says nothing of its rows.
    """

    outcome: Outcome | None = None
    objection: Objectionable | None = None
    flags: tuple[str, ...] = ()
    error: GatewayError | None = None
    is_paid_unknown: bool = False
    is_whole: bool = False


def settle_line(line_id: UUID, ended: Ended, *, file: ProviderBatch, steps: Sequence[BatchStep]) -> None:
    """Settle it unless it is. One that can't be stored is closed as lost, and its row fails.

    steps: those of the file's batch.
    """
    try:
        with transaction.atomic():
            close(line_id, ended, file, steps)
    except (DataError, IntegrityError, ValueError, TypeError, LookupError):
        log.exception("line %s could not be settled as it ended", line_id)
        with transaction.atomic():
            close(line_id, Ended(is_paid_unknown=True), file, steps)


def close(line_id: UUID, ended: Ended, file: ProviderBatch, steps: Sequence[BatchStep]) -> None:
    line = open_line(line_id)
    if line is None:
        return
    line.step = step = next(step for step in steps if step.pk == file.step_id)  # type: ignore[attr-defined]
    row = line.row
    row.said = list(row.results.exclude(status=BatchResult.Status.FAILED).select_related("step"))
    answers = {result.step.position: result for result in row.said}
    run = line.run
    if ended.is_paid_unknown:
        alerts.send(ledger.close_lost(require_tenant_id(), run.pk)[1])
        run.error, run.error_code = ended.error, ended.error.code if ended.error else INTERNAL.code
        run.status = Run.Status.LOST
    else:
        call = call_of(line, request_for(row, step, answers), file)
        told(call, ended, step)
        settle(call)
    code = run.error_code or ("ok" if run.status == Run.Status.OK else run.status)
    ProviderLine.objects.filter(pk=line.pk).update(settled_at=Now(), outcome=code)
    try:
        move_on(line, run, ended, steps)
    except claims.Superseded:
        log.info("row %s is no longer in file %s", row.pk, file.pk)


def open_line(line_id: UUID) -> ProviderLine | None:
    """Locked, and its row with it: whoever else settles it waits, and then finds it settled."""
    found = list(ProviderLine.objects.filter(pk=line_id, settled_at=None).select_for_update())
    if not found:
        return None
    line: ProviderLine = found[0]
    line.row = BatchRow.objects.select_for_update().get(pk=line.row_id)  # type: ignore[attr-defined]
    return line


def call_of(line: ProviderLine, request: Request, file: ProviderBatch) -> Call:
    """The call that the line was, as one is settled that was made at once."""
    call = Call(request, line.run)
    call.known = configuration.current()
    call.choices = (Choice(file.target, account=file.provider_key, prices=file.price_list()),)
    return call


def told(call: Call, ended: Ended, step: BatchStep) -> None:
    """Write into the call's run how it ended, and what it used."""
    run, reply = call.run, ended.outcome.reply if ended.outcome else None
    error = ended.outcome.error if ended.outcome else ended.error
    if reply:
        if reply.usage.estimated:
            reply = replace(reply, usage=Usage.estimate(call.request, reply.text))
        call.attempts.append(Attempt(reply.target, "ok", 0, reply.usage))
        answered(call, reply)
        run.flags = [*run.flags, *ended.flags]
        schema = step.output_schema
        if ended.objection:
            run.status, run.error, run.error_code = Run.Status.REFUSED, ended.objection, ended.objection.code
            run.text = ""
            run.flags = [*run.flags, *ended.objection.flags]
        elif schema and checked(run, model_of(schema)):
            run.value = run.value.model_dump(mode="json", by_alias=True)
    elif error:
        if ended.outcome:
            call.attempts.append(Attempt(call.choices[0].target, error.code, 0, error.usage))
        failed(call, error)
        if isinstance(error, Cancelled):
            stopped(call)
            run.error, run.error_code = error, error.code
    else:
        stopped(call)


def move_on(line: ProviderLine, run: Run, ended: Ended, steps: Sequence[BatchStep]) -> None:
    """What the row does next. Raises Superseded if it is no longer the file's."""
    row, step = line.row, line.step
    batch = Batch.objects.get(pk=row.batch_id)  # type: ignore[attr-defined]
    if run.status == Run.Status.OK:
        ok = BatchResult(
            row=row, step=step, run_id=run.pk, status=BatchResult.Status.OK, text=run.text, value=run.value
        )
        row.said.append(kept(row, ok))
        taken = next_of(row, steps)
        if taken.step is None:
            finished(row, taken)
        else:
            wait_again(row, batch)
    elif batch.is_over or ended.is_whole or may_go_again(line, run, batch):
        wait_again(row, batch)
    else:
        fail(row, INTERNAL if run.error is None else explain(run.error), step=step, run=run)


def wait_again(row: BatchRow, batch: Batch) -> None:
    """For the next file; for ever, if the batch is cancelled."""
    if batch.is_over:
        mine(row).update(status=BatchRow.Status.CANCELLED, claimed_until=None, worker=None, finished_at=Now())
    else:
        mine(row).update(status=BatchRow.Status.WAITING, claimed_until=None, worker=None, attempts=0)


def may_go_again(line: ProviderLine, run: Run, batch: Batch) -> bool:
    """Whether another file may bring what this one didn't: as often as is sensible since the batch was (re)started."""
    if isinstance(run.error, Cancelled):  # somebody stopped it there, and may resume it here
        return True
    tries = ProviderLine.objects.filter(row=line.row, step=line.step)
    if batch.resumed_at:
        tries = tries.filter(run__created_at__gte=batch.resumed_at)
    tried = tries.exclude(provider_batch__status__in=REFUSED_WHOLE).count()
    if isinstance(run.error, Malformed):
        return tried < MOST_MALFORMED
    return isinstance(run.error, GatewayError) and run.error.retryable and tried < MOST_TRIES


def dissolve(
    file: ProviderBatch,
    error: GatewayError | None,
    *,
    status: ProviderBatch.Status,
    is_paid_unknown: bool = False,
) -> None:
    """End a file of which nothing more will be heard. Its open rows wait again; their lines cost nothing, unless that
    isn't known. The batch pauses if the next file would go the same way."""
    why = explain(error) if error else GONE
    if not file.is_over:
        ProviderBatch.objects.filter(pk=file.pk, status__in=ProviderBatch.OPEN).update(
            status=status,
            finished_at=Now(),
            due_at=None,
            error_code=why.code[:40],
            error_message=f"{why.message} {why.action}"[:ERROR_CHARS],
        )
    ended = Ended(error=error or NoResult(file.target), is_paid_unknown=is_paid_unknown, is_whole=True)
    end_open_lines(file, ended)
    if is_paid_unknown or error is None or not error.retryable:
        batch = Batch.objects.get(pk=file.batch_id)  # type: ignore[attr-defined]
        pause_by_itself(batch, why)


GONE = Fault(
    "account_gone",
    "The account with the provider that this went through is no longer there.",
    "Enter its key again under Settings, Provider keys, or choose another model; then resume.",
)


def end_open_lines(file: ProviderBatch, ended: Ended) -> None:
    steps = steps_of(file.batch)
    for line_id in list(file.lines.filter(settled_at=None).values_list("pk", flat=True)):
        settle_line(line_id, ended, file=file, steps=steps)


def lines_by_run(file: ProviderBatch, custom_ids: Sequence[str]) -> dict[str, UUID | None]:
    """Those of the file by the ids that the provider knows them by; None for one that is settled."""
    wanted = [found for each in custom_ids if (found := as_uuid(each))]
    lines = file.lines.filter(run__in=wanted).values_list("pk", "run_id", "settled_at")
    return {run_id.hex: None if settled_at else pk for pk, run_id, settled_at in lines}


def as_uuid(text: object) -> UUID | None:
    try:
        return UUID(hex=str(text))
    except ValueError:
        return None
