"""Commands in processes of their own, which can be killed. They fork from one that has imported Django already:
importing it takes longer than the command."""

import multiprocessing
import sys
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import django
from django.core.management import CommandError, call_command
from django.db import connections

WITHIN_S = 60

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__])
if "pytest" not in sys.modules:
    django.setup()  # once, in the process that the others fork from


class Lines:
    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe

    def write(self, text: str) -> None:
        self.pipe.send(text)

    def flush(self) -> None:
        pass


def run(pipe: Connection, arguments: tuple[str, ...]) -> None:
    try:
        call_command(*arguments, stdout=Lines(pipe))
    except CommandError as error:
        pipe.send(f"CommandError: {error}")
    connections.close_all()
    pipe.close()


class Command:
    """A management command that has begun."""

    def __init__(self, *arguments: str) -> None:
        self.pipe, end = _context.Pipe(duplex=False)
        self.process: BaseProcess = _context.Process(target=run, args=(end, arguments), daemon=True)
        self.process.start()
        end.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.join(WITHIN_S)

    def finish(self) -> str:
        """Wait for its end; returns what it printed."""
        printed, deadline = "", time.monotonic() + WITHIN_S
        while self.pipe.poll(max(0, deadline - time.monotonic())):
            try:
                printed += self.pipe.recv()
            except EOFError:
                break
        self.process.join(max(0, deadline - time.monotonic()))
        assert self.process.exitcode == 0, printed
        return printed
