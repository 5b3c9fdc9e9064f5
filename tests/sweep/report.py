"""What the sweep tried, in numbers, at the end of the run."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_sizes: dict[str, int] = {}
_tried: dict[str, Counter[str]] = {}


def size(what: str, number: int) -> None:
    """How many there are of one thing, in the singular, that the sweep is about."""
    _sizes[what] = number


def tried(what: str, by: str = "", times: int = 1) -> None:
    """Count one attempt: what was tried, and by whom or how."""
    _tried.setdefault(what, Counter())[by] += times


@contextmanager
def aside() -> Iterator[None]:
    """What is tried inside is not counted."""
    global _tried
    before, _tried = _tried, {}
    try:
        yield
    finally:
        _tried = before


def counted() -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """What `add` takes in another process, as plain types."""
    return _sizes, {what: {str(by): times for by, times in each.items()} for what, each in _tried.items()}


def add(sizes: dict[str, int], attempts: dict[str, dict[str, int]]) -> None:
    _sizes.update(sizes)
    for what, by in attempts.items():
        _tried.setdefault(what, Counter()).update(by)


def none(found: list[str]) -> None:
    """Fails with every finding on a line of its own."""
    assert not found, "\n" + "\n".join(found)


def write(terminal: pytest.TerminalReporter) -> None:
    if not _tried:
        return
    terminal.section("sweep", sep="-")
    sizes = (f"{number:,} {what}{'' if number == 1 else 's'}" for what, number in _sizes.items())
    terminal.write_line("Sweep: " + ", ".join(sizes))
    for what, counted in _tried.items():
        each = ", ".join(f"{by} {times:,}" for by, times in counted.items() if by)
        terminal.write_line(f"{what:<28}{counted.total():>8,}  {each}")
