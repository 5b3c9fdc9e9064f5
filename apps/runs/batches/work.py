"""A worker's slice of a batch: rows are claimed and answered, many at once, for a while; then it is another's turn.

    take the batch -> claim rows, answer them, claim more -> leave it -> done, or the next slice is queued

A slice that is killed anywhere loses nothing: its rows are claimed again when it has been silent for a minute, and its
calls are closed by the sweeper at what they had reserved.
"""

import asyncio
import logging
import time
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from apps.tenants import flags
from apps.tenants.threads import in_thread

from ..models import Batch, BatchRow, BatchStep
from ..refusals import BudgetBusy, Refusal, SwitchedOff
from . import claims, half_price, loop
from .answer import answer
from .control import CAP_REACHED, finish, pause_by_itself, queue
from .costs import FEATURE, steps_of

log = logging.getLogger(__name__)

SLICE_S = 20.0
RENEW_EVERY_S = 15.0
AFTER_BUSY_S = 5
FAILURES_IN_A_ROW = 20


@dataclass
class Slice:
    """One worker's turn at a batch. `limit` is how many rows are under way at most: fewer where a budget is tight."""

    batch: Batch
    steps: list[BatchStep]
    worker: UUID = field(default_factory=uuid4)
    ends_at: float = field(default_factory=lambda: time.monotonic() + SLICE_S)
    limit: int = claims.AT_ONCE
    is_over: bool = False
    after_s: int = 0  # how long the next slice should wait
    under_way: dict["asyncio.Task[Refusal | None]", BatchRow] = field(default_factory=dict)

    @property
    def held(self) -> list[UUID]:
        return [row.pk for row in self.under_way.values()]


def work(batch_id: UUID) -> None:
    """Answer rows of the active tenant's batch for about twenty seconds, then queue the next slice if there is more.

    Any number of processes may call it at once, and each may be killed anywhere. Raises OperationalError or
    InterfaceError when the database is away; the call may be repeated.
    """
    worker = uuid4()
    batch = claims.take(batch_id, worker)
    if batch is None:
        return
    if batch.mode == Batch.Mode.WITHIN_A_DAY:
        half_price.work(batch, worker)
        return
    after_s = 0
    try:
        if not flags.is_on(FEATURE):
            pause_by_itself(batch, SwitchedOff())
        else:
            turn = Slice(batch, steps_of(batch), worker)
            loop.run(go(turn))
            after_s = turn.after_s
    finally:
        claims.leave(batch, worker)
    claims.give_up(batch)
    if not finish(batch):
        queue(batch, after_s=after_s or claims.waits_s(batch))


async def go(turn: Slice) -> None:
    renewed = time.monotonic()
    while True:
        if len(turn.under_way) <= turn.limit // 2:
            await begin_more(turn)
        if not turn.under_way:
            return
        ended, _ = await asyncio.wait(turn.under_way, timeout=RENEW_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            row = turn.under_way.pop(task)
            await after(turn, row, task.result())
        if time.monotonic() - renewed > RENEW_EVERY_S:
            renewed = time.monotonic()
            turn.is_over = not await in_thread(claims.renew, turn.batch, turn.worker, turn.held) or turn.is_over


async def begin_more(turn: Slice) -> None:
    """Claim as many rows as have room, unless the turn is over."""
    most = turn.limit - len(turn.under_way)
    if turn.is_over or most < 1 or time.monotonic() > turn.ends_at:
        return
    try:
        rows = await in_thread(claims.claim, turn.batch, turn.worker, most=most, held=turn.held)
    except claims.CapReached:
        turn.is_over = True
        await in_thread(pause_by_itself, turn.batch, CAP_REACHED)
        return
    turn.under_way |= {asyncio.create_task(answer(turn.batch, row, turn.steps)): row for row in rows}


async def after(turn: Slice, row: BatchRow, refusal: Refusal | None) -> None:
    """What the end of a row means for those to come."""
    if isinstance(refusal, BudgetBusy):
        # Our own rows under way hold what is left of a budget, or somebody else's calls do.
        turn.limit = max(1, len(turn.under_way))
        if not turn.under_way:
            turn.is_over, turn.after_s = True, AFTER_BUSY_S
    elif refusal is not None:
        turn.is_over = True
        await in_thread(pause_by_itself, turn.batch, refusal)
    elif fault := await in_thread(claims.failing, turn.batch, row, FAILURES_IN_A_ROW):
        turn.is_over = True
        await in_thread(pause_by_itself, turn.batch, fault)
