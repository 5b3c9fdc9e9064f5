"""A sheet and steps become a draft, with what it would cost and what its first rows would say.

create(name, sheet=..., user=...)    all rows, and steps if they are known already
plan(batch, steps)                   what each row is asked; says at once which rows can't be
estimate(batch)                      what that would cost
await preview(batch)                 the first rows' answers, which stay
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Prefetch

from apps.prompts.models import PromptVersion
from apps.prompts.spec import BadPrompt
from apps.tenants.audit import record
from apps.tenants.context import require_tenant_id
from apps.tenants.models import User
from apps.tenants.threads import in_thread

from .. import configuration
from ..models import Batch, BatchResult, BatchRow, BatchStep
from ..schema_models import BadSchema
from . import claims
from .answer import answer
from .costs import BadValue, Estimate, StepCosts, StepEstimate, estimate, sizes, steps_of
from .errors import MOST_FAULTS, BadFile, Flaw, Refused
from .mapping import PlannedStep, faults
from .read import Sheet

__all__ = ["Estimate", "PlannedStep", "StepEstimate", "create", "estimate", "plan", "preview", "suggested"]

T = TypeVar("T")

ROWS_AT_ONCE = 1_000
PREVIEWED = 3
SET_WORST = """
UPDATE runs_batchrow SET worst_usd = given.usd FROM unnest(%s::uuid[], %s::numeric[]) AS given(id, usd)
WHERE runs_batchrow.id = given.id AND tenant_id = %s
"""


def create(
    name: str,
    *,
    sheet: Sheet,
    user: User,
    source_name: str = "",
    mode: Batch.Mode = Batch.Mode.NOW,
    steps: Sequence[PlannedStep] = (),
) -> Batch:
    """A draft with all of the sheet's rows. Raises BadFile, and then nothing is stored; Refused for bad steps."""
    with transaction.atomic():
        batch = Batch.objects.create(
            name=" ".join(name.split())[:120] or source_name[:120] or "Batch",
            created_by=user,
            source_name=source_name[:255],
            columns=list(sheet.columns),
            mode=mode,
        )
        for rows in chunks(sheet.rows):
            made = [BatchRow(batch=batch, number=batch.row_count + n, input=row) for n, row in enumerate(rows, start=1)]
            BatchRow.objects.bulk_create(made)
            batch.row_count += len(made)
        batch.save(update_fields=["row_count"])
        if steps:
            plan(batch, steps)
        record("batch.created", batch, rows=batch.row_count)
    return batch


def plan(batch: Batch, steps: Sequence[PlannedStep]) -> Batch:
    """Give a draft its steps, in the place of those that it had. What its preview said is forgotten.

    Raises BadFile naming rows and columns whose values don't fit, Refused for steps that make no sense or a batch that
    is no draft, and Refusal where no model may be asked or none has a price. Nothing is changed then.
    """
    with transaction.atomic():
        if not Batch.objects.select_for_update().filter(pk=batch.pk, status=Batch.Status.DRAFT).exists():
            raise Refused(
                "This batch has been started already, so its steps stay. Make another one from the same file."
            )
        if found := list(faults(steps, batch.columns)):
            raise Refused("\n".join(found))
        BatchStep.objects.filter(batch=batch).delete()  # and what they have said
        BatchRow.objects.filter(batch=batch).exclude(status=BatchRow.Status.WAITING).update(**claims.ANEW)
        BatchStep.objects.bulk_create(
            BatchStep(
                batch=batch,
                position=position,
                label=" ".join(step.label.split())[:80],
                prompt_version=own_or_default(step.version),
                mapping={name: dict(source) for name, source in step.mapping.items()},
                condition=dict(step.condition) if step.condition else None,
                tier=step.tier,
            )
            for position, step in enumerate(steps, start=1)
        )
        batch.worst_usd = check_and_price(batch)
        batch.save(update_fields=["worst_usd"])
    return batch


def own_or_default(version: PromptVersion) -> PromptVersion:
    if version.tenant_id not in (None, require_tenant_id()):
        raise Refused("There is no such prompt. Choose another one.")
    return version


def check_and_price(batch: Batch) -> Decimal:
    """Write what each row could cost at most; returns the sum. Raises BadFile for values of the wrong type."""
    known = configuration.current()
    try:
        costs = [StepCosts(step, known, batch.processing) for step in steps_of(batch)]
    except (BadPrompt, BadSchema) as error:
        raise Refused(f"The prompt can’t be sent: {error}") from error
    flaws: list[Flaw] = []
    total = Decimal(0)
    for rows in chunks(batch.rows.order_by("number").values_list("id", "number", "input").iterator()):
        worst: dict[UUID, Decimal] = {}
        for pk, number, row in rows:
            try:
                worst[pk] = sum((cost.worst_usd(size) for cost, size in sizes(costs, row)), Decimal(0))
            except BadValue as error:
                flaws.append(flaw_of(error, number))
        if len(flaws) >= MOST_FAULTS:
            break
        total += sum(worst.values(), Decimal(0))
        with connection.cursor() as cursor:
            cursor.execute(SET_WORST, [list(worst), list(worst.values()), require_tenant_id()])
    if flaws:
        raise BadFile.of(flaws)
    return total


def flaw_of(error: BadValue, number: int) -> Flaw:
    """A constant is wrong for every row, and so for none in particular."""
    bad = error.bad
    return Flaw(f"{bad.fault}.", bad.mend, number if error.column else None, error.column)


def suggested(version: PromptVersion, columns: Sequence[str]) -> dict[str, dict[str, Any]]:
    """A mapping that is likely: each variable from the column of the same name, or the only one from the only one."""
    by_name = {plain(column): column for column in reversed(columns)}
    names = [variable.name for variable in version.declared]
    if len(names) == len(columns) == 1:
        return {names[0]: {"column": columns[0]}}
    return {name: {"column": by_name[plain(name)]} for name in names if plain(name) in by_name}


def plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))


async def preview(batch: Batch, *, rows: int = PREVIEWED) -> list[BatchRow]:
    """Answer the draft's first rows now, for good: they aren't asked again when the batch is started.

    Returns them with their `results`; one that failed says why, and is tried again by the batch. Raises Refused for
    another batch than a draft with steps, and the Refusal where nobody may ask now.
    """
    batch, steps, waiting = await in_thread(claims.take_first, batch.pk, rows)
    if not steps:
        raise Refused("This batch has no prompt yet. Choose one first.")
    refusals = await asyncio.gather(*(answer(batch, row, steps) for row in waiting))
    for refusal in filter(None, refusals):
        raise refusal
    return await in_thread(first_rows, batch, rows)


def first_rows(batch: Batch, count: int) -> list[BatchRow]:
    """With their results, each with its step and run."""
    results = BatchResult.objects.select_related("step", "run")
    return list(batch.rows.order_by("number").prefetch_related(Prefetch("results", results))[:count])


def chunks(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, ROWS_AT_ONCE)):
        yield chunk
