"""What came out of a suite's tests, as reports and the gate read it, and as JSON keeps it."""

import hashlib
from dataclasses import asdict, dataclass, field
from typing import Any

from . import intervals
from .intervals import Interval
from .suite import CATALOG, Suite

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one assert made of the output. `seen` says why, where the score alone doesn't."""

    asked: str
    metric: str
    score: float
    passed: bool
    seen: str = ""


@dataclass(frozen=True, slots=True)
class Given:
    """A passage that the model was given."""

    number: int
    title: str
    heading: str
    text: str
    is_cited: bool


@dataclass(slots=True)
class TestResult:
    """`scores` are by metric; several asserts of one metric count as the worst of them."""

    __test__ = False  # pytest

    key: str
    workspace: str
    name: str
    vars: dict[str, Any]
    output: str
    error: str = ""
    scores: dict[str, float] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    passages: list[Given] = field(default_factory=list)
    model: str = ""
    latency_ms: int = 0
    cost_usd: str = "0"
    output_tokens: int = 0

    @property
    def passed(self) -> bool:
        return not self.error and all(verdict.passed for verdict in self.verdicts)

    def as_json(self, *, whole: bool) -> dict[str, Any]:
        found = asdict(self) | {"passed": self.passed}
        if not whole:
            for passage in found["passages"]:
                del passage["text"]
        return found


@dataclass(slots=True)
class SuiteResult:
    """`skipped` says what wasn't measured, and why."""

    suite: Suite
    provider: str
    tests: list[TestResult]
    skipped: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.suite.name

    @property
    def metrics(self) -> list[str]:
        """Those that were measured, in their order."""
        return [metric for metric in self.suite.metrics if any(metric in test.scores for test in self.tests)]

    def scores(self, metric: str) -> dict[str, float]:
        """By test, of those that ask for it."""
        return {test.key: test.scores[metric] for test in self.tests if metric in test.scores}

    def interval(self, metric: str) -> Interval:
        return intervals.of_mean([*self.scores(metric).values()], name=f"{self.name} {metric}")

    @property
    def failed(self) -> list[TestResult]:
        return [test for test in self.tests if not test.passed]

    def as_json(self, *, workspace: str = "", whole: bool = True) -> dict[str, Any]:
        """All of it, or what is one workspace's; `whole`: with the passages' texts."""
        tests = [test for test in self.tests if workspace in ("", test.workspace)]
        part = SuiteResult(self.suite, self.provider, tests, self.skipped)
        return {
            "suite": self.name,
            "description": self.suite.description,
            "prompt": self.suite.prompt,
            "prompt_checksum": prompt_checksum(self.suite.prompt),
            "provider": self.provider,
            "checksum": self.suite.checksum,
            "workspaces": sorted({test.workspace for test in tests}),
            "metrics": {
                metric: asdict(part.interval(metric))
                | {"floor": self.suite.floors.get(metric), "tests": len(part.scores(metric))}
                for metric in part.metrics
            },
            "skipped": self.skipped,
            "tests": [test.as_json(whole=whole) for test in tests],
        }


def prompt_checksum(prompt: str) -> str:
    """Names the words of a catalog prompt; "" for search, which has none."""
    return hashlib.sha256((CATALOG / f"{prompt}.md").read_bytes()).hexdigest()[:12] if prompt else ""
