"""What people and machines read of a measurement: the terminal, a page with pictures, JSON, JUnit, Markdown."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..baseline import Entry
from ..gate import Outcome, worse_tests
from ..results import SuiteResult, TestResult
from ..revision import Revision


@dataclass(frozen=True, slots=True)
class Report:
    """`entries` are the baseline's where it was compared with. `notes` are sentences that belong to the whole."""

    results: Sequence[SuiteResult]
    outcomes: Sequence[Outcome]
    revision: Revision
    entries: dict[str, Entry] | None = None
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def refused(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.is_refused]

    @property
    def failed(self) -> list[TestResult]:
        return [test for result in self.results for test in result.failed]

    @property
    def tests(self) -> int:
        return sum(len(result.tests) for result in self.results)

    @property
    def title(self) -> str:
        """The whole in a sentence."""
        if not self.results:
            return "No suite is touched"
        if not self.refused:
            return "Nothing got worse" if self.entries is not None else "Every floor holds"
        about = sorted({outcome.prompt or outcome.suite for outcome in self.refused})
        is_worse = any(outcome.is_worse for outcome in self.refused)
        verb = "are" if len(about) > 1 else "is"
        return f"{' and '.join(about)} {verb} {'worse than the baseline' if is_worse else 'below the floor'}"

    def outcomes_of(self, result: SuiteResult) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.suite == result.name]

    def worse_tests(self, result: SuiteResult) -> list[tuple[str, str, float, float]]:
        return worse_tests(result, (self.entries or {}).get(result.name))


def write(report: Report, folder: Path) -> list[Path]:
    """report.html, .json, .md and junit.xml in `folder`; returns their paths."""
    from . import junit, markdown, page

    folder.mkdir(parents=True, exist_ok=True)
    written = {
        "report.html": page.render(report),
        "report.json": json.dumps(as_json(report), ensure_ascii=False, indent=1),
        "junit.xml": junit.render(report),
        "report.md": markdown.render(report),
    }
    for name, text in written.items():
        (folder / name).write_text(text)
    return [folder / name for name in written]


def as_json(report: Report) -> dict[str, object]:
    return {
        "revision": report.revision.name,
        "subject": report.revision.subject,
        "at": report.revision.at,
        "title": report.title,
        "refused": [
            {"suite": o.suite, "prompt": o.prompt, "metric": o.metric, "reason": o.reason} for o in report.refused
        ],
        "notes": [*report.notes],
        "suites": [result.as_json() for result in report.results],
    }
