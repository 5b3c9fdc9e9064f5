"""Child processes of the launcher: none outlives it, and none is ended that isn't ours.

On Linux the kernel signals each child when the launcher dies, even by kill -9. Elsewhere the next start finds
them in `children.json` by process id and start time, and ends them first.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

from config.bootstrap import Trouble

Farewell = tuple[tuple[signal.Signals, float], ...]

LEFTOVERS_STOP_WITHIN_SECONDS = 15
PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Taken(Trouble):
    """Another live process holds the lock; `holder` is what it wrote there."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"Another launcher already uses this state folder ({holder or 'starting'}).")
        self.holder = holder


def hold(path: Path, note: str) -> IO[str]:
    """Lock `path` until the returned file is closed or this process ends. Raises Taken."""
    lock = path.open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip()
        lock.close()
        raise Taken(holder) from None
    lock.truncate(0)
    lock.write(note)
    lock.flush()
    return lock


@dataclass
class Child:
    """A running program, and the signals that end it, each with the seconds it has before the next one.

    After the last comes SIGKILL.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    log_start: int
    farewell: Farewell

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def log_text(self) -> str:
        """What it has logged since it was started."""
        with self.log.open("rb") as log:
            log.seek(self.log_start)
            return log.read().decode(errors="replace")

    def log_tail(self, lines: int = 15) -> str:
        return "\n".join(self.log_text().rstrip().splitlines()[-lines:])

    def kill(self) -> None:
        """End it and what it forked, now."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@dataclass
class Children:
    """The children of one launcher, recorded in `record` as they start."""

    record: Path
    living: list[Child] = field(default_factory=list)

    def start(
        self,
        name: str,
        command: list[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | str = "/",
        user: tuple[int, int] | None = None,
        stdin: bytes = b"",
        farewell: Farewell = ((signal.SIGTERM, 20),),
    ) -> Child:
        """Run `command` in a session of its own, so that Ctrl-C reaches the launcher alone.

        user: the (uid, gid) to run as; None is the launcher's own. Output is appended to `log`.
        """
        uid, gid = user or (None, None)
        with log.open("ab") as output:
            log_start = output.tell()
            process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                start_new_session=True,
                preexec_fn=_die_with_parent(farewell[0][0]),
                user=uid,
                group=gid,
                extra_groups=[] if user else None,
            )
        child = Child(name, process, log, log_start, farewell)
        self.living.append(child)
        self._write()
        if stdin and process.stdin:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(stdin)
                process.stdin.close()
        return child

    def stop(self, children: Iterable[Child] | None = None, *, hurry: Callable[[], bool] = bool) -> list[Child]:
        """End `children` (or all), each by its farewell. Returns those that had to be killed.

        hurry: asked all the time; once true, each signal has half a second.
        """
        leaving = list(self.living if children is None else children)
        killed: list[Child] = []
        goodbyes = {child.process.pid: self._goodbye(child, hurry, killed) for child in leaving}
        while goodbyes:
            goodbyes = {pid: goodbye for pid, goodbye in goodbyes.items() if next(goodbye, None)}
            time.sleep(0.02)
        self.living = [child for child in self.living if child not in leaving]
        self._write()
        return killed

    def _goodbye(self, child: Child, hurry: Callable[[], bool], killed: list[Child]) -> Iterator[bool]:
        """Yields as long as the child lives."""
        for number, patience in child.farewell:
            sent_at = time.monotonic()
            child.process.send_signal(number)
            while child.alive and time.monotonic() - sent_at < (0.5 if hurry() else patience):
                yield True
        if child.alive:
            killed.append(child)
        child.kill()  # also what a finished child left in its session

    def end_leftovers(self) -> None:
        """End what a launcher that was killed left running."""
        try:
            recorded = json.loads(self.record.read_text())
        except (FileNotFoundError, ValueError):
            return

        def gone(process: psutil.Process) -> bool:
            with contextlib.suppress(psutil.NoSuchProcess):
                return process.status() == psutil.STATUS_ZOMBIE  # nobody may ever collect it in a container
            return True

        leftovers = []
        for entry in recorded:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                process = psutil.Process(entry["pid"])
                if abs(process.create_time() - entry["started_at"]) < 1 and not gone(process):
                    process.send_signal(entry["stop_signal"])
                    leftovers.append(process)
        deadline = time.monotonic() + LEFTOVERS_STOP_WITHIN_SECONDS
        while leftovers and time.monotonic() < deadline:
            time.sleep(0.02)
            leftovers = [process for process in leftovers if not gone(process)]
        for process in leftovers:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        self.record.unlink(missing_ok=True)

    def _write(self) -> None:
        if not self.living:
            self.record.unlink(missing_ok=True)
            return
        entries = []
        for child in self.living:
            with contextlib.suppress(psutil.NoSuchProcess):
                started_at = psutil.Process(child.process.pid).create_time()
                entries.append(
                    {"pid": child.process.pid, "started_at": started_at, "stop_signal": child.farewell[0][0]}
                )
        draft = self.record.with_suffix(".new")
        draft.write_text(json.dumps(entries))
        draft.replace(self.record)


def _die_with_parent(stop_signal: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    launcher = os.getpid()

    def arrange() -> None:
        prctl(PR_SET_PDEATHSIG, int(stop_signal), 0, 0, 0)
        if os.getppid() != launcher:  # it died between the fork and the line above
            os._exit(1)

    return arrange
