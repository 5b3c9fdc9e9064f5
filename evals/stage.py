"""The workspaces that suites ask in, on services of their own, deleted at the end: suites touch nobody's data."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO

from benchmarks.stage import stage

from . import workspaces
from .bad import Bad

LOADED = (("prompts", "sync"), ("prices", "sync"), ("seed",))


@contextmanager
def demo() -> Iterator[None]:
    """Raises Bad for a prompt of the catalog that can't be read."""
    with stage():
        from django.core.management import CommandError, call_command

        try:
            for command in LOADED:
                call_command(*command, stdout=StringIO())
        except CommandError as error:
            raise Bad("The catalog of prompts", str(error), "Nothing was run") from error
        workspaces.load()
        yield
