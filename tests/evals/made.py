"""Results of suites that nobody ran, for what is made of them."""

from pathlib import Path

from evals.asserts import Check
from evals.baseline import Entry, entry_of
from evals.gate import outcomes
from evals.report import Report
from evals.results import Given, SuiteResult, TestResult, Verdict
from evals.revision import Revision
from evals.suite import Suite, Test


def suite(count: int, *, prompt: str = "answer", floors: dict[str, float] | None = None, name: str = "made") -> Suite:
    check = Check("icontains", "28 days")
    path = Path(f"{name}.yaml")
    tests = [
        Test(path, 1, prompt, "acme", f"Question {n}?", {"question": f"Question {n}?"}, (check,)) for n in range(count)
    ]
    return Suite(path, name, "Made up", prompt, "offline", floors or {}, tuple(tests), checksum="0123")


def result(scores: list[float], *, metric: str = "correct", says: str = "28 days [1]", **of: object) -> SuiteResult:
    """One test for each score of the metric."""
    made = suite(len(scores), **of)  # type: ignore[arg-type]
    tests = [
        TestResult(
            key=test.key,
            workspace=test.workspace,
            name=test.name,
            vars=test.vars,
            output=says,
            scores={metric: score},
            verdicts=[Verdict("icontains 28 days", metric, score, score == 1)],
            passages=[Given(1, "Handbook", "Handbook > Leave", "28 days of leave", True)],
            model="offline/extractive-1",
            latency_ms=12,
        )
        for test, score in zip(made.tests, scores, strict=True)
    ]
    return SuiteResult(made, "offline", tests)


def entries(before: SuiteResult) -> dict[str, Entry]:
    return {before.name: entry_of(before)}


def report(now: SuiteResult, before: SuiteResult | None = None) -> Report:
    known = entries(before) if before else None
    return Report([now], outcomes([now], known), Revision("abc123", "A change", "2026-01-05T10:00:00+00:00"), known)
