"""A tenant that floods the queue, and ten that come after it: on kombu's Redis transport, and on ours.

    python -m benchmarks.queue [TIMES]

1,000 tasks of one tenant are queued, then 5 each of ten others; two processes begin when all are there. Measured is
when 95 % of the small ones were done, beside the same 50 in a queue that is otherwise empty: in seconds, and in tasks
that were done until then, which a busy machine doesn't change. Then what a task that does nothing costs. Of TIMES runs
each the median is shown; the flood on kombu's transport, which takes minutes, is run once.

Ends with an error where the fair queue misses its target, in tasks: 1.2 times the idle queue, plus one.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psutil

from benchmarks.stage import stage

SMALL, EACH, FLOOD, NOTHINGS = 10, 5, 1_000, 1_000
TASK_S = 0.1
PROCESSES = 2
FOLDER, STOCK = "QUEUE_BENCHMARK_FOLDER", "QUEUE_BENCHMARK_STOCK"

if FOLDER in os.environ:  # a worker: `celery -A benchmarks.queue`, and this program once its services run
    from config.celery import app

    if STOCK in os.environ:
        app.conf.broker_transport = None

    @app.task(platform_wide=True)
    def wait_at_the_gate() -> None:
        note("waits")
        while not (Path(os.environ[FOLDER]) / "open").exists():
            time.sleep(0.001)

    @app.task(platform_wide=True)
    def work(tenant: str, seconds: float) -> None:
        time.sleep(seconds)
        note(f"{tenant} {time.time()}")

    def note(line: str) -> None:
        with (Path(os.environ[FOLDER]) / "log").open("a") as log:
            log.write(f"{line}\n")


@dataclass(frozen=True)
class Small:
    """Until 95 % of the small ones were done: seconds, and tasks."""

    seconds: float
    tasks: float


@dataclass(frozen=True)
class Cost:
    """Of tasks that do nothing."""

    published_a_second: float
    done_a_second: float
    publisher_ms: float  # of its processor, a task
    worker_ms: float  # of the main process's processor, a task: that one talks to the queue


def main(times: int) -> None:
    small, costs = {}, {}
    with stage(), tempfile.TemporaryDirectory() as folder:
        os.environ[FOLDER] = folder
        for name in ("stock", "fair"):
            with working(name, Path(folder)) as worker:
                small[name, "idle"] = median(Small, lambda: worker.small_ones(0), times)
                small[name, "flood"] = median(Small, lambda: worker.small_ones(FLOOD), times if name == "fair" else 1)
                costs[name] = median(Cost, worker.cost, times)
    report(small, costs)


def median(kind: type, measure: Callable[[], object], times: int) -> object:
    """Of each field by itself."""
    measured = [measure() for _ in range(times)]
    return kind(*(statistics.median(getattr(each, name) for each in measured) for name in kind.__dataclass_fields__))


@contextmanager
def working(name: str, folder: Path) -> Iterator["Worker"]:
    env = {**os.environ, "PYTHONWARNINGS": "ignore", **({STOCK: "1"} if name == "stock" else {})}
    command = [sys.executable, "-m", "celery", "-A", "benchmarks.queue", "worker", "--concurrency", str(PROCESSES)]
    quiet = ["--loglevel", "error", "--without-mingle", "--without-gossip"]
    process = subprocess.Popen([*command, *quiet], env=env, stdout=subprocess.DEVNULL)
    try:
        yield Worker(name, folder, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(60)


class Worker:
    def __init__(self, name: str, folder: Path, process: psutil.Process) -> None:
        import benchmarks.queue as tasks  # as its processes have it

        self.name, self.folder, self.process, self.tasks = name, folder, process, tasks
        self.transport = tasks.app.conf.broker_transport if name == "fair" else "redis"

    def small_ones(self, flood: int) -> Small:
        big, small = str(uuid4()), {str(uuid4()) for _ in range(SMALL)}
        queued = [big] * flood + [tenant for _ in range(EACH) for tenant in small]
        began, done = self.run(queued, TASK_S, lambda done: sum(tenant in small for tenant, _ in done) == SMALL * EACH)
        places = [place for place, (tenant, _) in enumerate(done) if tenant in small]
        last = places[round(0.95 * len(places)) - 1]
        self.say(f"{done[last][1] - began:.2f} s, {last + 1} tasks, behind {flood:,} of another")
        return Small(done[last][1] - began, last + 1)

    def cost(self) -> Cost:
        publisher, worker, at = time.process_time(), self.cpu_s(), time.monotonic()
        published: list[float] = []
        began, done = self.run(
            [str(uuid4())] * NOTHINGS,
            0,
            lambda done: len(done) == NOTHINGS,
            lambda: published.extend((time.process_time() - publisher, time.monotonic() - at)),
        )
        cost = Cost(
            NOTHINGS / published[1],
            NOTHINGS / (done[-1][1] - began),
            1_000 * published[0] / NOTHINGS,
            1_000 * (self.cpu_s() - worker) / NOTHINGS,
        )
        self.say(f"{cost.done_a_second:.0f} tasks that do nothing in a second")
        return cost

    def cpu_s(self) -> float:
        times = self.process.cpu_times()
        return times.user + times.system

    def run(
        self,
        queued: list[str],
        seconds: float,
        is_done: Callable[[list[tuple[str, float]]], bool],
        on_published: Callable[[], object] = bool,
    ) -> tuple[float, list[tuple[str, float]]]:
        """When they began, and whose tasks were done when, in order. Both processes wait until all are queued."""
        log, gate = self.folder / "log", self.folder / "open"
        gate.unlink(missing_ok=True)
        log.write_text("")
        with self.tasks.app.connection_for_write(transport=self.transport) as connection:
            options = {"connection": connection, "queue": "batch"}
            for _ in range(PROCESSES):
                self.tasks.wait_at_the_gate.apply_async(**options)
            wait_until(lambda: log.read_text().count("waits") == PROCESSES)
            log.write_text("")
            for tenant in queued:
                self.tasks.work.apply_async((tenant, seconds), headers={"tenant_id": tenant}, **options)
            on_published()
            began = time.time()
            gate.touch()
            wait_until(lambda: is_done(read(log)))
            done = read(log)
            connection.default_channel.queue_purge("batch")
            wait_until(lambda: is_quiet(log))
        return began, done

    def say(self, text: str) -> None:
        print(f"  {self.name}: {text}", flush=True)


def read(log: Path) -> list[tuple[str, float]]:
    words = [line.split() for line in log.read_text().splitlines()]
    return [(tenant, float(at)) for tenant, at in words]


def is_quiet(log: Path) -> bool:
    """Whether nothing more is being done."""
    before = log.stat().st_size
    time.sleep(4 * TASK_S + 0.2)
    return log.stat().st_size == before


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 600
    while not is_so():
        if time.monotonic() > deadline:
            sys.exit("The worker has not done its tasks within ten minutes.")
        time.sleep(0.02)


def report(small: dict[tuple[str, str], Small], costs: dict[str, Cost]) -> None:
    print(f"\nUntil 95 % of {SMALL} tenants' {EACH} tasks of {TASK_S * 1000:.0f} ms are done, by {PROCESSES} processes")
    print(f"{'':8}{'idle queue':>22}{f'behind {FLOOD:,} of one tenant':>32}{'times, in tasks':>18}")
    for name in ("stock", "fair"):
        idle, flood = small[name, "idle"], small[name, "flood"]
        before, after = (f"{each.seconds:.2f} s, {each.tasks:.0f} tasks" for each in (idle, flood))
        print(f"{name:8}{before:>22}{after:>32}{flood.tasks / idle.tasks:>18.2f}")
    print(f"\n{'':8}{'published/s':>12}{'done/s':>10}{'publisher ms':>14}{'worker ms':>11}   a task that does nothing")
    for name, cost in costs.items():
        print(
            f"{name:8}{cost.published_a_second:>12,.0f}{cost.done_a_second:>10,.0f}"
            f"{cost.publisher_ms:>14.2f}{cost.worker_ms:>11.2f}"
        )
    target = 1.2 * small["fair", "idle"].tasks + 1
    if small["fair", "flood"].tasks > target:
        sys.exit(f"The fair queue misses its target of {target:.0f} tasks.")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) == 2 else 3)
