"""The comment on a pull request. What models said stands in code, so that it is shown and does nothing."""

import re
from collections.abc import Iterable, Iterator

from ..gate import Outcome
from ..results import SuiteResult, TestResult
from . import Report

MARKER = "<!-- corbel-evals -->"  # by which the workflow knows its earlier comment
MOST_TESTS = 12
MOST_CHARS = 600
MOST_IN_ALL = 60_000  # of a comment; GitHub takes 65,536
HEADS = "| Suite | Prompt | Metric | Baseline | Now | Change, 95 % | Floor | |\n|---|---|---|--:|--:|--:|--:|---|"


def render(report: Report) -> str:
    """As much as a comment may hold: what doesn't fit is in the report."""
    text = "\n".join([MARKER, *lines(report)]) + "\n"
    for result in report.results:
        more = "\n".join(worse(report, result))
        if len(text) + len(more) > MOST_IN_ALL:
            return f"{text}\nThe rest is in the report.\n"
        text += more + "\n" if more else ""
    return text


def fault(message: str) -> str:
    """Of evals that couldn't be run."""
    return f"{MARKER}\n### ❌ Evals could not be run\n\n{fenced(message)}\n"


def lines(report: Report) -> Iterator[str]:
    yield f"### {'❌' if report.refused else '✅'} Evals: {safe(report.title)}\n"
    if not report.results:
        yield "No suite depends on what changed here, so none was run."
        return
    for outcome in report.refused:
        about = f"prompt {code(outcome.prompt)}" if outcome.prompt else "search"
        yield f"- **{safe(outcome.suite)}** ({about}): {outcome.reason}."
    yield from (f"\n> {safe(note)}" for note in report.notes)
    moved = [outcome for outcome in report.outcomes if outcome.is_refused or outcome.has_moved]
    still = [outcome for outcome in report.outcomes if outcome not in moved]
    yield ""
    if moved:
        yield from table(moved)
    if still:
        words = f"{len(still)} metrics as they were" if report.entries is not None else f"{len(still)} metrics"
        yield f"\n<details><summary>{words}</summary>\n"
        yield from table(still)
        yield "\n</details>"
    yield f"\n{report.tests} tests at {code(report.revision.name)}; docs/evals.md says what the columns mean."


def table(outcomes: Iterable[Outcome]) -> Iterator[str]:
    yield HEADS
    for outcome in outcomes:
        cells = (
            safe(outcome.suite),
            code(outcome.prompt) if outcome.prompt else "search",
            outcome.title,
            "" if outcome.before is None else f"{outcome.before:.1%}",
            f"{outcome.now.mean:.1%}",
            outcome.change_in_points,
            "" if outcome.floor is None else f"{outcome.floor:.0%}",
            "❌" if outcome.is_refused else "✅",
        )
        yield f"| {' | '.join(cells)} |"


def worse(report: Report, result: SuiteResult) -> Iterator[str]:
    """The tests that scored less than before; without a baseline those that failed."""
    fell: dict[str, list[str]] = {}
    for key, metric, then, now in report.worse_tests(result):
        fell.setdefault(key, []).append(f"{metric} {then:.2f} → {now:.2f}")
    tests = [test for test in result.tests if (test.key in fell if report.entries is not None else not test.passed)]
    if not tests:
        return
    yield f"\n<details><summary>{safe(result.name)}: {len(tests)} tests {'fell' if fell else 'failed'}</summary>\n"
    for test in tests[:MOST_TESTS]:
        yield from of_test(test, fell.get(test.key, []))
    if len(tests) > MOST_TESTS:
        yield f"And {len(tests) - MOST_TESTS} more, in the report."
    yield "\n</details>"


def of_test(test: TestResult, fell: list[str]) -> Iterator[str]:
    yield f"**{safe(test.key)}** {'; '.join(fell)}\n"
    yield from (f"- wanted {code(verdict.asked)}" for verdict in test.verdicts if not verdict.passed)
    yield f"\n{fenced(test.error or test.output or '(nothing)')}\n"


def safe(text: str) -> str:
    """Plain words on one line: nothing in them is markup, mentions anybody or ends a cell."""
    return re.sub(r"[\\`*_{}\[\]<>#|~@&]", lambda found: f"&#{ord(found[0])};", " ".join(text.split()))


def code(text: str) -> str:
    """On one line, whatever backticks it has."""
    text = " ".join(text.split())[:MOST_CHARS].replace("|", "\\|")
    ticks = "`" * (longest_run(text) + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{space}{text}{space}{ticks}"


def fenced(text: str) -> str:
    text = text if len(text) <= MOST_CHARS else f"{text[:MOST_CHARS]} …"
    fence = "`" * max(3, longest_run(text) + 1)
    return f"{fence}text\n{text}\n{fence}"


def longest_run(text: str) -> int:
    return max((len(run) for run in re.findall(r"`+", text)), default=0)
