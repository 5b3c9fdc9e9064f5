"""The workspaces that suites ask in, on services of their own, deleted at the end: suites touch nobody's data."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import StringIO

from benchmarks.stage import stage

from . import workspaces
from .bad import Bad
from .suite import Suite

LOADED = (("prompts", "sync"), ("prices", "sync"))


@contextmanager
def demo(suites: Iterable[Suite]) -> Iterator[None]:
    """With the workspaces of these suites. Raises Bad for a prompt of the catalog that can't be read."""
    with stage():
        from django.core.management import CommandError, call_command

        try:
            for command in LOADED:
                call_command(*command, stdout=StringIO())
        except CommandError as error:
            raise Bad("The catalog of prompts", str(error).rstrip("."), "Nothing was run.") from error
        workspaces.load({test.workspace for suite in suites for test in suite.tests})
        yield
