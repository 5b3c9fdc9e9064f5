"""A tenant that floods the queue, and ten that come after it: on kombu's Redis transport, and on ours.

    python -m benchmarks.queue [TIMES]

1,000 tasks of one tenant are queued, then 5 each of ten others; two processes begin when all are there. Measured is
when the last of the small ones was done for 95 % of them, beside the same 50 in a queue that is otherwise empty. Then
how many tasks that do nothing are published and done in a second. Of TIMES runs each the median is shown; the flood on
kombu's transport, which takes minutes, is run once. Ends with an error where the fair queue misses its target: 1.2
times the idle queue, plus one task.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from benchmarks.stage import stage

SMALL, EACH, FLOOD, NOTHINGS = 10, 5, 1_000, 2_000
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


def main(times: int) -> None:
    with stage() as services, tempfile.TemporaryDirectory() as folder:
        os.environ[FOLDER] = folder
        latencies, rates = {}, {}
        for name in ("stock", "fair"):
            with working(name, Path(folder)) as worker:
                latencies[name, "idle"] = median(worker.small_ones, times, 0)
                latencies[name, "flood"] = median(worker.small_ones, times if name == "fair" else 1, FLOOD)
                rates[name] = [
                    statistics.median(rate) for rate in zip(*(worker.rates() for _ in range(times)), strict=True)
                ]
        services.children.living  # noqa: B018  (kept until the workers are gone)
    report(latencies, rates)


def median(measure: object, times: int, *args: object) -> float:
    return statistics.median(measure(*args) for _ in range(times))


@contextmanager
def working(name: str, folder: Path) -> Iterator["Worker"]:
    env = {**os.environ, **({STOCK: "1"} if name == "stock" else {})}
    command = [sys.executable, "-m", "celery", "-A", "benchmarks.queue", "worker", "--concurrency", str(PROCESSES)]
    quiet = ["--loglevel", "error", "--without-mingle", "--without-gossip"]
    process = subprocess.Popen([*command, *quiet], env=env, stdout=subprocess.DEVNULL)
    try:
        yield Worker(name, folder)
    finally:
        process.terminate()
        process.wait(60)


class Worker:
    def __init__(self, name: str, folder: Path) -> None:
        import benchmarks.queue as tasks  # as its processes have it

        self.folder, self.tasks = folder, tasks
        self.transport = tasks.app.conf.broker_transport if name == "fair" else "redis"

    def small_ones(self, flood: int) -> float:
        """Seconds within which 95 % of them are done."""
        big, small = str(uuid4()), [str(uuid4()) for _ in range(SMALL)]
        queued = [big] * flood + [tenant for _ in range(EACH) for tenant in small]
        began, lines, _ = self.run(queued, TASK_S, until=lambda lines: len(of(lines, small)) == SMALL * EACH)
        done = sorted(at - began for at in of(lines, small))
        return done[round(0.95 * len(done)) - 1]

    def rates(self) -> tuple[float, float]:
        """Tasks published in a second, and done in a second."""
        tenant = str(uuid4())
        began, lines, published_s = self.run([tenant] * NOTHINGS, 0, until=lambda lines: len(lines) == NOTHINGS)
        return NOTHINGS / published_s, NOTHINGS / (max(of(lines, [tenant])) - began)

    def run(self, queued: list[str], seconds: float, until: object) -> tuple[float, list[str], float]:
        log, gate = self.folder / "log", self.folder / "open"
        gate.unlink(missing_ok=True)
        log.write_text("")
        with self.tasks.app.connection_for_write(transport=self.transport) as connection:
            options = {"connection": connection, "queue": "batch"}
            for _ in range(PROCESSES):
                self.tasks.wait_at_the_gate.apply_async(**options)
            wait_until(lambda: log.read_text().count("waits") == PROCESSES)
            log.write_text("")
            publishing = time.monotonic()
            for tenant in queued:
                self.tasks.work.apply_async((tenant, seconds), headers={"tenant_id": tenant}, **options)
            published_s = time.monotonic() - publishing
            began = time.time()
            gate.touch()
            wait_until(lambda: until(log.read_text().splitlines()))
            lines = log.read_text().splitlines()
            connection.default_channel.queue_purge("batch")
            wait_until(lambda: settled(log))
        return began, lines, published_s


def of(lines: list[str], tenants: list[str]) -> list[float]:
    return [float(line.split()[1]) for line in lines if line.split()[0] in tenants]


def settled(log: Path) -> bool:
    """Whether nothing more is being done."""
    before = log.stat().st_size
    time.sleep(4 * TASK_S + 0.2)
    return log.stat().st_size == before


def wait_until(is_so: object) -> None:
    deadline = time.monotonic() + 300
    while not is_so():
        if time.monotonic() > deadline:
            sys.exit("The worker has not done its tasks within five minutes.")
        time.sleep(0.02)


def report(latencies: dict[tuple[str, str], float], rates: dict[str, list[float]]) -> None:
    print(f"\n{SMALL} tenants with {EACH} tasks of {TASK_S * 1000:.0f} ms each, {PROCESSES} processes: p95 until done")
    print(f"{'':8}{'idle queue':>12}{f'behind {FLOOD:,} of one tenant':>32}{'':>8}")
    for name in ("stock", "fair"):
        idle, flood = latencies[name, "idle"], latencies[name, "flood"]
        print(f"{name:8}{idle:>10.2f} s{flood:>30.2f} s{flood / idle:>7.2f}x")
    print(f"\n{'':8}{'published/s':>12}{'done/s':>10}   of tasks that do nothing, one publisher")
    for name, (published, done) in rates.items():
        print(f"{name:8}{published:>12,.0f}{done:>10,.0f}")
    target = 1.2 * latencies["fair", "idle"] + TASK_S
    if latencies["fair", "flood"] > target:
        sys.exit(f"The fair queue misses its target of {target:.2f} s.")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) == 2 else 3)
