"""Within 24 hours, at half the price: waiting rows are put into files, one for each step and model, and sent.

    work(batch, worker)     fill files for a while, and send those that get no more lines
    send(file)              once: whether one that broke off was taken is asked before it is sent again

Each line is a Run with its own reservation at the batch price, written together with the line: what is reserved for a
file is what its lines are. What then becomes of a file is in `files`, of a line in `lines`.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from apps.prompts.spec import BadPrompt
from apps.tenants import flags
from apps.tenants.context import require_tenant_id
from apps.tenants.models import Tier
from apps.tenants.threads import in_thread, surely

from .. import chain, configuration, guarding, ledger, route
from ..admit import CHANGING, STALE_AT_MOST, Call, admit
from ..chain import Choice
from ..configuration import Configuration
from ..execute import known_configuration
from ..explain import Fault
from ..gateway.errors import GatewayError
from ..gateway.providers.batches import File, Line, is_untaken
from ..gateway.types import Request
from ..models import Batch, BatchResult, BatchRow, BatchStep, Processing, ProviderBatch, ProviderLine, Run
from ..models.provider_batch import as_json
from ..refusals import BudgetBusy, Refusal, SwitchedOff
from . import claims, loop
from .answer import OF_THE_ROW, fail, give_back, mine
from .control import CAP_REACHED, finish, pause_by_itself, queue
from .costs import FEATURE, steps_of
from .lines import dissolve
from .steps import finished, next_of, request_for

log = logging.getLogger(__name__)

SLICE_S = 20.0
ROWS_AT_ONCE = 25
MOST_LINES = 10_000
MOST_BYTES = 24_000_000  # of prompts; a file is made in memory
FILLED_WITHIN = timedelta(minutes=10)  # after which a file whose worker died is sent as it is
UNSURE_FOR = timedelta(minutes=15)  # longer than sending takes: then the provider is asked whether it has it
POLLED_EVERY = timedelta(minutes=1)
AGAIN_AFTER = timedelta(minutes=5)
AFTER_BUSY_S = 60

READY, SENDING, SENT = ProviderBatch.Status.READY, ProviderBatch.Status.SENDING, ProviderBatch.Status.SENT


def work(batch: Batch, worker: UUID) -> None:
    """Put rows of the active tenant's batch, which the worker has taken, into files, and send those."""
    again_s: int | None = None
    try:
        if flags.is_on(FEATURE):
            again_s = loop.run(fill_and_send(batch, worker))
        else:
            pause_by_itself(batch, SwitchedOff())
    finally:
        claims.leave(batch, worker)
    claims.give_up(batch)
    if finish(batch):
        return
    if again_s is not None:
        queue(batch, after_s=again_s)
    else:  # what is under way has it queued when it comes back; should that be lost, whoever sweeps has
        Batch.objects.filter(pk=batch.pk, worker=None).update(worked_until=Now() + claims.QUEUED_FOR)


async def fill_and_send(batch: Batch, worker: UUID) -> int | None:
    """Returns in how many seconds there is more to do; None where what is under way has to come back first."""
    steps = await in_thread(steps_of, batch)
    ends_at = time.monotonic() + SLICE_S
    refusal: Refusal | Fault | None = None
    while refusal is None:
        if time.monotonic() > ends_at:
            return 0
        try:
            rows = await in_thread(claims.claim, batch, worker, most=ROWS_AT_ONCE, held=())
        except claims.CapReached:
            refusal = CAP_REACHED
            break
        if not rows:
            break
        refusal = await place(batch, rows, steps)
    for file in await in_thread(ready, batch):
        await send(file)
    return await in_thread(stopped_by, batch, refusal) if refusal else None


def stopped_by(batch: Batch, refusal: Refusal | Fault) -> int | None:
    """What no further row can be sent for ends by itself when what is under way comes back and gives back what it
    reserved, or with the refusal's own end, for which the batch pauses."""
    if isinstance(refusal, BudgetBusy) or refusal is CAP_REACHED:
        if ProviderLine.objects.filter(provider_batch__batch=batch, settled_at=None).exists():
            return None
        if refusal is not CAP_REACHED:
            return AFTER_BUSY_S
    pause_by_itself(batch, refusal)
    return None


async def place(batch: Batch, rows: Sequence[BatchRow], steps: Sequence[BatchStep]) -> Refusal | None:
    """Put each claimed row into a file. Returns the refusal that holds for any row; the rest waits again then."""
    left = list(rows)
    while left:
        row = left.pop(0)
        try:
            refusal = await place_one(batch, row, steps)
        except claims.Superseded:
            log.info("row %s was claimed by another worker", row.pk)
            continue
        if refusal:
            for other in (row, *left):
                await in_thread(give_back, other)
            return refusal
    return None


@dataclass(frozen=True, slots=True)
class Asked:
    """A row's next request, as the guard left it."""

    row: BatchRow
    step: BatchStep
    request: Request
    flags: tuple[str, ...]
    made_before: tuple[UUID, ...]


async def place_one(batch: Batch, row: BatchRow, steps: Sequence[BatchStep]) -> Refusal | None:
    taken = await in_thread(next_of, row, steps)
    if taken.step is None:
        await in_thread(finished, row, taken)
        return None
    known = await known_configuration()
    about = new_run(batch, taken.step)
    try:
        request = request_for(row, taken.step, taken.answers)
        guarded = await guarding.before(request, configuration=known, run=about)
    except BadPrompt as bad:
        await in_thread(fail, row, Fault("bad_value", f"{taken.step!s}: {bad.fault}.", bad.mend), step=taken.step)
        return None
    except OF_THE_ROW as refusal:
        fault = Fault(refusal.code, refusal.message, refusal.action)
        await in_thread(fail, row, fault, step=taken.step)
        return None
    asked = Asked(row, taken.step, guarded.request, guarded.flags, about.made_before)
    for _ in range(STALE_AT_MOST):
        try:
            return await in_thread(surely, write, batch, asked, known)
        except ledger.Stale:
            known = await in_thread(configuration.fresh)
    raise RuntimeError(CHANGING)


def new_run(batch: Batch, step: BatchStep) -> Run:
    version = step.prompt_version
    return Run(
        tenant_id=require_tenant_id(), feature=FEATURE, user=batch.created_by, batch=batch, prompt_version=version
    )


def write(batch: Batch, asked: Asked, known: Configuration) -> Refusal | None:
    """The row's run with its reservation and its line in a file, all or nothing. Raises Stale and Superseded."""
    run, step, row = new_run(batch, asked.step), asked.step, asked.row
    run.made_before = asked.made_before
    call = Call(asked.request, run, processing=Processing.BATCH)
    call.flags = asked.flags
    forced = Tier(step.tier) if step.tier else step.prompt_version.forced_tier
    chosen = route.planned(asked.request, feature=FEATURE, configuration=known, forced=forced, run=run)
    with transaction.atomic():
        admit(call, chosen, None, known)
        if run.error is None:
            file = file_for(batch, step, call.choices[0], size=asked.request.most_input_tokens())
            ProviderLine.objects.create(provider_batch=file, row=row, step=step, run=run)
            if not mine(row).update(worker=file.pk, claimed_until=None):
                raise claims.Superseded
            return None
    assert isinstance(run.error, Refusal)
    if not isinstance(run.error, OF_THE_ROW):
        return run.error
    fail(row, Fault(run.error.code, run.error.message, run.error.action), step=step, run=run)
    return None


def file_for(batch: Batch, step: BatchStep, choice: Choice, *, size: int) -> ProviderBatch:
    """The file that gets one more line of that size for the choice's model; a new one if there is none with room."""
    account = choice.account
    same = {
        "batch": batch,
        "step": step,
        "provider": choice.target.provider,
        "model": choice.target.model,
        "provider_key": account,
        "is_own_account": account is not None,
        "prices": [as_json(price) for price in choice.prices],
    }
    has_room = {"line_count__lt": MOST_LINES, "size_bytes__lte": MOST_BYTES - size}
    found = ProviderBatch.objects.filter(**same, **has_room, status=READY, sending_at=None).first()
    file = found or ProviderBatch.objects.create(**same, due_at=Now() + FILLED_WITHIN)
    # It may have been sent this very moment.
    grown = ProviderBatch.objects.filter(pk=file.pk, status=READY)
    if not grown.update(line_count=F("line_count") + 1, size_bytes=F("size_bytes") + size):
        file = ProviderBatch.objects.create(**same, due_at=Now() + FILLED_WITHIN, line_count=1, size_bytes=size)
    return file


def ready(batch: Batch) -> list[ProviderBatch]:
    """Files of a batch that were never tried yet."""
    found = ProviderBatch.objects.filter(batch=batch, status=READY, sending_at=None)
    return list(found.select_related("batch", "step", "provider_key").order_by("created_at"))


def choice_of(file: ProviderBatch) -> Choice:
    """Whom it is for, with the prices that settle it. Raises LookupError if there is no way there any more."""
    if file.is_own_account and file.provider_key is None:
        raise LookupError("The account was removed.")
    return Choice(file.target, account=file.provider_key, prices=file.price_list())


async def send(file: ProviderBatch) -> None:
    """Send a file that surely wasn't. Whatever comes of it is written; what dies meanwhile leaves it `sending`."""
    lines = await in_thread(begin_sending, file)
    if not lines:
        return
    try:
        batches = chain.batches(choice_of(file))
        sent = await batches.submit(lines, label=file.pk.hex)
    except GatewayError as error:
        log.warning("file %s was not sent: %s", file.pk, error)
        await in_thread(surely, not_sent, file, error)
    except LookupError:
        await in_thread(surely, dissolve, file, None, status=ProviderBatch.Status.FAILED)
    else:
        await in_thread(surely, is_sent, file, sent)


def begin_sending(file: ProviderBatch) -> list[Line]:
    """From here on it may be with the provider. Returns its lines; none if it isn't to be sent, or by another."""
    with transaction.atomic():
        claimed = ProviderBatch.objects.filter(pk=file.pk, status=READY)
        if not claimed.update(status=SENDING, sending_at=Now(), due_at=Now() + UNSURE_FOR):
            return []
        lines = lines_of(file)
        if lines:
            ProviderBatch.objects.filter(pk=file.pk).update(line_count=len(lines))
        else:
            ProviderBatch.objects.filter(pk=file.pk).delete()
    return lines


def lines_of(file: ProviderBatch) -> list[Line]:
    """Its open lines, made anew from their rows."""
    found = list(file.lines.filter(settled_at=None).select_related("row").order_by("row__number"))
    said: dict[UUID, dict[int, BatchResult]] = {line.row_id: {} for line in found}  # type: ignore[attr-defined]
    results = BatchResult.objects.filter(row__in=list(said)).exclude(status=BatchResult.Status.FAILED)
    for result in results.select_related("step"):
        said[result.row_id][result.step.position] = result  # type: ignore[attr-defined]
    step = BatchStep.objects.select_related("prompt_version__prompt").get(pk=file.step_id)  # type: ignore[attr-defined]
    return [Line(line.custom_id, request_for(line.row, step, said[line.row_id])) for line in found]  # type: ignore[attr-defined]


def is_sent(file: ProviderBatch, sent: File) -> None:
    ProviderBatch.objects.filter(pk=file.pk, status=SENDING).update(
        status=SENT,
        external_id=sent.external_id,
        submitted_at=Now(),
        expires_at=sent.expires_at or Now() + timedelta(days=1),
        due_at=Now() + POLLED_EVERY,
        error_code="",
        error_message="",
    )


def not_sent(file: ProviderBatch, error: GatewayError) -> None:
    """It is ready again, or given up, if the provider surely has nothing; else that has to be found out."""
    if not is_untaken(error):
        return
    if not error.retryable:
        dissolve(file, error, status=ProviderBatch.Status.FAILED)
        return
    after = max(AGAIN_AFTER, timedelta(seconds=error.retry_after_s or 0))
    sending = ProviderBatch.objects.filter(pk=file.pk, status=SENDING)
    sending.update(status=READY, due_at=Now() + after, error_code=error.code)
