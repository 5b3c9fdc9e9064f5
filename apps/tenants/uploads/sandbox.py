"""Runs a module of ours on a file that isn't, in a process that can be killed.

Files come from strangers and parsers have bugs: the process gets no environment, a bound on memory, processor time and
output, and is killed with all it started when time is up.
"""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class Limits:
    """What reading one file may use: seconds on the clock and on the processor, memory, characters of text."""

    wall_s: int = 90
    cpu_s: int = 60
    memory_mb: int = 1024
    text_chars: int = 5_000_000  # a long novel has one million


class Died(Exception):
    """The process ended badly: `is_slow` if its time was up, `is_heavy` if by its memory, else by the file."""

    def __init__(self, *, is_slow: bool = False, is_heavy: bool = False) -> None:
        self.is_slow, self.is_heavy = is_slow, is_heavy
        super().__init__("it took too long" if is_slow else "it needed too much memory" if is_heavy else "it failed")


def confined(module: str, arguments: Sequence[str], *, until: float) -> IO[bytes]:
    """Run `python -m module arguments` and return what it wrote, a file at its beginning, to be closed.

    until: when it is killed, by `time.monotonic`. The module calls `bounds.bound` first. Raises Died.
    """
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONUTF8": "1", "MALLOC_ARENA_MAX": "2"}
    with contextlib.ExitStack() as closing, tempfile.TemporaryFile() as complaints:
        output = closing.enter_context(tempfile.TemporaryFile())
        process = subprocess.Popen(  # noqa: S603  (our own module; the paths are ours too)
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=complaints,
            start_new_session=True,
        )
        try:
            status = process.wait(timeout=max(until - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            raise Died(is_slow=True) from None
        finally:
            end(process)
        if status:
            log.warning("%s ended with %s on %s: %s", module, status, arguments[:2], tail(complaints))
            raise death(status)
        output.seek(0)
        closing.pop_all()
        return output


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and all that it started. Its group has its id, which is ours as long as we didn't reap it."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def death(status: int) -> Died:
    """By which signal. PDFium aborts when memory runs out; no other reader ends by a signal."""
    is_slow = status in {-signal.SIGXCPU, -signal.SIGALRM}
    return Died(is_slow=is_slow, is_heavy=status < 0 and not is_slow)


def tail(complaints: IO[bytes]) -> str:
    size = complaints.seek(0, os.SEEK_END)
    complaints.seek(max(0, size - 2000))
    return complaints.read().decode("utf-8", "replace").strip()
