"""One row through its steps: each asked, checked and kept before the next."""

import logging
import random
from collections.abc import Sequence
from datetime import timedelta

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from apps.prompts.spec import BadPrompt
from apps.tenants.models import Tier
from apps.tenants.threads import in_thread, surely

from ..explain import INTERNAL, Fault, explain
from ..gateway.errors import CircuitOpen, GatewayError, Interrupted
from ..models import Batch, BatchResult, BatchRow, BatchStep, Run
from ..prompted import ask
from ..refusals import Objectionable, Refusal, TooLarge
from .claims import LEASE, MOST_ATTEMPTS, Superseded
from .costs import FEATURE
from .mapping import Answers, holds, value_of

log = logging.getLogger(__name__)

OF_THE_ROW = (TooLarge, Objectionable)  # refusals that say nothing of the other rows
AGAIN_AFTER_S, AGAIN_AFTER_AT_MOST_S = 15, 600
ERROR_CHARS = 400


async def answer(batch: Batch, row: BatchRow, steps: Sequence[BatchStep]) -> Refusal | None:
    """Take a claimed row through the steps that it hasn't taken yet, each result kept as soon as it is there.

    Returns the refusal that holds for any row of the batch, and then the row waits again; None if the row has ended, or
    waits for a moment. Raises OperationalError or InterfaceError when the database is away.
    """
    try:
        return await through(batch, row, steps)
    except Superseded:
        log.info("row %s was claimed by another worker", row.pk)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        log.exception("row %s could not be answered", row.pk)
        await in_thread(surely, fail, row, INTERNAL)
    return None


async def through(batch: Batch, row: BatchRow, steps: Sequence[BatchStep]) -> Refusal | None:
    answers: dict[int, BatchResult] = {}
    taken = {result.step_id: result for result in row.said}
    for step in steps:
        if result := taken.get(step.pk):
            answers[step.position] = result
            continue
        if not holds(step.condition, row=row.input, answers=answers):
            answers[step.position] = await keep(row, BatchResult(row=row, step=step, status=BatchResult.Status.SKIPPED))
            continue
        try:
            run = await asked(batch, row, step, answers)
        except BadPrompt as bad:
            await in_thread(fail, row, Fault("bad_value", f"{step!s}: {bad.fault}.", bad.mend), step=step)
            return None
        if run.status != Run.Status.OK:
            return await in_thread(surely, not_answered, row, step, run)
        ok = BatchResult(
            row=row, step=step, run_id=run.pk, status=BatchResult.Status.OK, text=run.text, value=run.value
        )
        answers[step.position] = await keep(row, ok)
    is_skipped = all(result.status == BatchResult.Status.SKIPPED for result in answers.values())
    await in_thread(surely, end, row, BatchRow.Status.SKIPPED if is_skipped else BatchRow.Status.DONE)
    return None


async def asked(batch: Batch, row: BatchRow, step: BatchStep, answers: Answers) -> Run:
    values = {name: value_of(source, row=row.input, answers=answers) for name, source in step.mapping.items()}
    forced = {"tier": Tier(step.tier)} if step.tier else {}
    return await ask(step.prompt_version, values, feature=FEATURE, user=batch.created_by, batch_id=batch.pk, **forced)


async def keep(row: BatchRow, result: BatchResult) -> BatchResult:
    return await in_thread(surely, kept, row, result)


def kept(row: BatchRow, result: BatchResult) -> BatchResult:
    """Write what a step said, unless it has been said already; returns what stands. Raises Superseded.

    What a superseded worker brings was paid for, so it is kept where nothing stands yet.
    """
    with transaction.atomic():
        is_mine = mine(row).update(claimed_until=Now() + LEASE)
        BatchResult.objects.bulk_create([result], ignore_conflicts=True)
        stands: BatchResult = BatchResult.objects.get(row=row, step_id=result.step_id)  # type: ignore[attr-defined]
    if not is_mine:
        raise Superseded
    return stands


def mine(row: BatchRow) -> QuerySet[BatchRow]:
    return BatchRow.objects.filter(pk=row.pk, worker=row.worker, status=BatchRow.Status.RUNNING)


def end(row: BatchRow, status: BatchRow.Status) -> None:
    mine(row).update(status=status, claimed_until=None, finished_at=Now(), error_code="", error_message="")


def not_answered(row: BatchRow, step: BatchStep, run: Run) -> Refusal | None:
    """What becomes of a row whose call gave no answer."""
    if run.status == Run.Status.REFUSED and isinstance(run.error, Refusal) and not isinstance(run.error, OF_THE_ROW):
        give_back(row)
        return run.error
    if run.status == Run.Status.STOPPED:
        give_back(row)
    elif is_passing(run.error) and row.attempts < MOST_ATTEMPTS:
        wait = timedelta(seconds=again_after_s(run.error))
        mine(row).update(status=BatchRow.Status.WAITING, claimed_until=Now() + wait)
    else:
        fail(row, explain(run.error), step=step, run=run)
    return None


def is_passing(error: Exception | None) -> bool:
    """Whether the same call may work a little later: the gateway has tried at once, and a batch has time."""
    return isinstance(error, GatewayError) and (error.retryable or isinstance(error, CircuitOpen | Interrupted))


def again_after_s(error: Exception | None) -> float:
    """Not all rows at the same moment, and none before the provider said."""
    asked_for = getattr(error, "retry_after_s", None) or 0
    return min(max(asked_for, AGAIN_AFTER_S), AGAIN_AFTER_AT_MOST_S) * random.uniform(1, 1.3)  # noqa: S311


def give_back(row: BatchRow) -> None:
    """As if it had not been claimed this time."""
    mine(row).update(status=BatchRow.Status.WAITING, claimed_until=None, attempts=F("attempts") - 1)


def fail(row: BatchRow, fault: Fault, *, step: BatchStep | None = None, run: Run | None = None) -> None:
    with transaction.atomic():
        failed = mine(row).update(
            status=BatchRow.Status.FAILED,
            error_code=fault.code[:40],
            error_message=f"{fault.message} {fault.action}"[:ERROR_CHARS],
            claimed_until=None,
            finished_at=Now(),
        )
        if failed and step is not None:
            said = BatchResult(
                row=row,
                step=step,
                run_id=run.pk if run else None,
                status=BatchResult.Status.FAILED,
                text=run.text if run else "",
            )
            BatchResult.objects.bulk_create([said], ignore_conflicts=True)
