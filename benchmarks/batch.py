"""A batch of 1,000 rows against a provider that fails one call in twenty, worked off by Celery, which is killed twice.

    python -m benchmarks.batch [ROWS KILLS]

A real worker of two processes takes the batch's slices from a real queue; it is killed with SIGKILL, all of it at once,
after each third of the rows, and another is started. What it held is free again after three seconds of silence here,
instead of a minute. The provider is a stub on this machine that answers at once, so rows per second are what Corbel
itself takes. Ends with an error unless every row was answered once, no call is open, and the ledger is the sum of runs.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

from benchmarks.stage import stage, workspace

ROOT = Path(__file__).resolve().parent.parent
FAULTS = 0.05
SILENCE_S = 3
WITHIN_S = 1_800


def main(rows: int, kills: int) -> None:
    with stage(), workspace("rows"):
        from django.core.management import call_command

        from tests.runs.batches.killed import RowStub, stumbling

        for command in (("prompts", "sync"), ("prices", "sync")):
            call_command(*command, stdout=StringIO())
        with RowStub().serving() as stub:
            stub.answering = stumbling(random.Random(6), FAULTS)
            found = measure(rows, kills, stub)
    if found:
        sys.exit("\n".join(found))


def measure(rows: int, kills: int, stub: Any) -> list[str]:
    from django.conf import settings

    from apps.runs.batches import control
    from apps.runs.lost import close_lost
    from apps.runs.models import Batch, Run
    from apps.tenants.models import User
    from tests.runs.batches.killed import faults
    from tests.runs.batches.rows import MODEL, draft

    told = {"OPENAI_API_KEY": "sk-none", "OPENAI_BASE_URL": stub.base_url("openai"), "OPENAI_MODEL": MODEL}
    os.environ |= told
    for name, value in told.items():
        setattr(settings, name, value)  # the stage has read them already
    began = time.perf_counter()
    batch = draft(User.objects.get(), rows)
    planned_s = time.perf_counter() - began
    control.start(batch)
    began, busy_s = time.perf_counter(), 0.0
    for kill in range(kills):
        with worker() as process:
            busy_s += until(batch, rows * (kill + 1) // (kills + 1))
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    with worker() as process:
        busy_s += until(batch, rows)
        while Batch.objects.filter(pk=batch.pk, status=Batch.Status.RUNNING).exists():
            time.sleep(0.05)
        seconds = time.perf_counter() - began
        process.terminate()
        process.wait()
    lost = close_lost(timedelta(0))
    batch.refresh_from_db()
    runs = Run.objects.filter(batch=batch)
    print(f"\n{rows:,} rows read and planned in {planned_s:.1f} s")
    print(f"{rows:,} rows answered in {seconds:.1f} s, starts of {kills + 1} workers and all waits included")
    print(f"  while a worker was at it: {rows / busy_s:,.1f} rows/s")
    for status in ("ok", "failed", "lost", "refused"):
        print(f"  runs {status:8} {runs.filter(status=status).count():,}")
    print(f"  calls of the provider {len(stub.calls):,}; runs closed by the sweeper {lost}")
    print(f"  the batch is {batch.status} and cost ${control.claims.spent_usd(batch)}, at most ${batch.worst_usd}")
    return faults(batch)


@contextlib.contextmanager
def worker() -> Iterator["subprocess.Popen[bytes]"]:
    """A Celery worker in a process group of its own."""
    command = [sys.executable, "-m", "benchmarks.batch", "worker"]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(batch: Any, rows: int) -> float:
    """Until so many rows have ended. Meanwhile what nobody works at is queued again, as the sweeper does.

    Returns the seconds since the first of them ended.
    """
    from apps.runs.batches.unfinished import resume_paused
    from apps.runs.models import BatchRow

    deadline, first_at = time.monotonic() + WITHIN_S, 0.0
    ended = BatchRow.objects.filter(batch=batch, finished_at__isnull=False)
    before = ended.count()
    while (now := ended.count()) < rows:
        if now > before and not first_at:
            first_at = time.perf_counter()
        batch.refresh_from_db()
        if batch.status != batch.Status.RUNNING or time.monotonic() > deadline:
            sys.exit(f"The batch didn’t come to {rows:,} rows. It is {batch.status}. {batch.pause_message}")
        resume_paused()
        time.sleep(0.1)
    return time.perf_counter() - first_at if first_at else 0.0


def work() -> None:
    """Be the worker: with the queues and settings of any other, but for how long it may be silent."""
    import django

    django.setup()
    from apps.runs.batches import claims
    from apps.runs.batches import work as slices
    from config.celery import app

    claims.LEASE, slices.RENEW_EVERY_S = timedelta(seconds=SILENCE_S), SILENCE_S / 5
    queues = ["-Q", "celery,batch"]
    app.worker_main(["worker", "-l", "WARNING", "-c", "2", "--without-mingle", "--without-gossip", *queues])


if __name__ == "__main__":
    if sys.argv[1:] == ["worker"]:
        work()
    else:
        main(*(map(int, sys.argv[1:3]) if len(sys.argv) == 3 else (1_000, 2)))
