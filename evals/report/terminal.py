"""For whoever waits at the terminal: how far it is, then a table for each suite and what its failed tests said."""

import sys
import textwrap
from collections.abc import Iterator
from typing import IO

from ..gate import Outcome
from ..metrics import METRICS
from ..results import SuiteResult, TestResult
from ..suite import Suite
from . import Report

BAR = 24
WIDTH = 110
COLUMNS = "  {:<20} {:>7}   {:<16} {:>6} {:>9}   {:<22} {}"


class Progress:
    """A bar that moves on a terminal, a line for each suite elsewhere."""

    def __init__(self, out: IO[str] | None = None) -> None:
        self.out = out or sys.stderr
        self.moves = self.out.isatty()

    def __call__(self, suite: Suite, done: int, of: int) -> None:
        if self.moves:
            full = BAR * done // of
            self.out.write(f"\r\033[K  {suite.name:<16} {'█' * full}{'░' * (BAR - full)} {done}/{of}")
            if done == of:
                self.out.write("\r\033[K")
        elif done == 0:
            self.out.write(f"{suite.name}: {of} tests ...\n")
        self.out.flush()

    def say(self, text: str) -> None:
        self.out.write(f"{text}\n")
        self.out.flush()


def render(report: Report) -> str:
    return "\n".join([*(line for result in report.results for line in of_suite(report, result)), *ending(report)])


def of_suite(report: Report, result: SuiteResult) -> Iterator[str]:
    about = result.suite.prompt or "search"
    yield f"{result.name}: {result.suite.description}"
    yield f"  {about}, {result.provider}, {len(result.tests)} tests, {len(result.failed)} failed"
    compared = report.entries is not None
    heads = ("", "mean", "95 % interval", "floor", *(("baseline", "change") if compared else ("", "")), "")
    yield COLUMNS.format(*heads).rstrip()
    for outcome in report.outcomes_of(result):
        yield row(outcome)
    for reason in result.skipped:
        yield f"  skipped: {reason}"
    for test in result.failed:
        yield from of_test(test)
    yield ""


def row(outcome: Outcome) -> str:
    now = outcome.now
    verdict = ("WORSE " if outcome.is_worse else "") + ("BELOW ITS FLOOR" if outcome.is_below_floor else "")
    return COLUMNS.format(
        METRICS[outcome.metric].title,
        f"{now.mean:.1%}",
        f"{now.low:.1%} to {now.high:.1%}",
        "" if outcome.floor is None else f"{outcome.floor:.0%}",
        "" if outcome.before is None else f"{outcome.before:.1%}",
        outcome.change_in_points,
        verdict,
    ).rstrip()


def of_test(test: TestResult) -> Iterator[str]:
    yield f"  FAILED  {test.key}"
    for verdict in test.verdicts:
        if not verdict.passed:
            scored = f" scored {verdict.score:.2f}" if 0 < verdict.score < 1 else ""
            yield f"    wanted  {verdict.asked}{scored}{f': {verdict.seen}' if verdict.seen else ''}"
    said = test.error or " ".join(test.output.split()) or "(nothing)"
    label = "broke" if test.error else "said"
    yield textwrap.fill(
        said, WIDTH, initial_indent=f"    {label:<7} ", subsequent_indent=" " * 12, max_lines=4, placeholder=" …"
    )


def ending(report: Report) -> Iterator[str]:
    yield from report.notes
    yield f"{report.title}."
    for outcome in report.refused:
        yield f"  {outcome.suite}: {outcome.reason}."
