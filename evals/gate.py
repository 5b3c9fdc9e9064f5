"""Whether a change may go in: no mean below its floor, and none that has become worse beyond what chance explains.

For each metric of a suite the change of every test since the baseline is drawn again, 10,000 times. The gate refuses
when even the upper end of the 95 % interval of the mean change is below minus the slack: then it is worse by more than
the slack, and not by the luck of which tests there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from . import intervals
from .bad import Bad
from .baseline import ANEW, PATH, Entry, kept
from .intervals import Interval
from .metrics import METRICS
from .results import SuiteResult

SLACK = 0.02


@dataclass(frozen=True, slots=True)
class Outcome:
    """One metric of a suite: now, and where the baseline has it the `change` since then."""

    suite: str
    prompt: str
    metric: str
    tests: int
    now: Interval
    floor: float | None
    before: float | None
    change: Interval | None
    slack: float

    @property
    def is_below_floor(self) -> bool:
        return self.floor is not None and self.now.mean < self.floor

    @property
    def is_worse(self) -> bool:
        return self.change is not None and self.change.high < -self.slack

    @property
    def is_refused(self) -> bool:
        return self.is_below_floor or self.is_worse

    @property
    def title(self) -> str:
        return METRICS[self.metric].title

    @property
    def has_moved(self) -> bool:
        """Whether any test scores other than before."""
        return self.change is not None and (self.change.low, self.change.high) != (0, 0)

    @property
    def change_in_points(self) -> str:
        """Such as "-8.3 (-12.5 to -4.2)"; "" without a baseline."""
        if self.change is None:
            return ""
        mean, low, high = (100 * each for each in (self.change.mean, self.change.low, self.change.high))
        return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})" if self.has_moved else "none"

    @property
    def reason(self) -> str:
        """Why it is refused, in a sentence without its stop; "" if it isn't."""
        if not self.is_refused:
            return ""
        fell = f"{self.title} is {self.now.mean:.1%}"
        if self.is_worse and self.change and self.before is not None:
            fell = (
                f"{self.title} fell from {self.before:.1%} to {self.now.mean:.1%}, with 95 % confidence by at least "
                f"{-100 * self.change.high:.1f} points where {100 * self.slack:g} are allowed"
            )
        floor = f"below its floor of {self.floor:.0%}" if self.is_below_floor else ""
        return f"{fell}{', and is ' if self.is_worse and floor else ', ' if floor else ''}{floor}"


def outcomes(
    results: Sequence[SuiteResult], entries: dict[str, Entry] | None = None, *, slack: float = SLACK
) -> list[Outcome]:
    """Every metric of every suite. Without `entries` only floors count. Raises Bad if tests measure other things."""
    for result in results if entries else ():
        require_all(result, entries[result.name])
    return [
        outcome(result, metric, entries[result.name] if entries else None, slack=slack)
        for result in results
        for metric in result.metrics
    ]


def require_all(result: SuiteResult, entry: Entry) -> None:
    """Raises Bad for a metric of the baseline that isn't measured any more: nothing would be compared with it."""
    for metric in METRICS:
        if entry.scores(metric) and metric not in result.metrics:
            raise Bad.at(
                PATH, entry.line, f"{metric} of {result.name!r} isn’t measured any more", ANEW.format(result.name)
            )


def outcome(result: SuiteResult, metric: str, entry: Entry | None, *, slack: float) -> Outcome:
    now = result.scores(metric)
    before: float | None = None
    change: Interval | None = None
    if entry and METRICS[metric].is_compared:
        then = entry.scores(metric)
        if then.keys() != now.keys():
            fault = f"its {metric} of {result.name!r} is of other tests than now"
            raise Bad.at(PATH, entry.line, fault, ANEW.format(result.name))
        pairs = [(then[key], kept(score)) for key, score in now.items()]
        change = intervals.of_change(*zip(*pairs, strict=True), name=f"{result.name} {metric}")
        before = sum(then.values()) / len(then)
    return Outcome(
        suite=result.name,
        prompt=result.suite.prompt,
        metric=metric,
        tests=len(now),
        now=result.interval(metric),
        floor=result.suite.floors.get(metric),
        before=before,
        change=change,
        slack=slack,
    )


def worse_tests(result: SuiteResult, entry: Entry | None) -> list[tuple[str, str, float, float]]:
    """Tests whose score fell since the baseline: key, metric, then, now."""
    if entry is None:
        return []
    return [
        (test.key, metric, then, now)
        for test in result.tests
        for metric, now in test.scores.items()
        if METRICS[metric].is_compared and (then := entry.tests.get(test.key, {}).get(metric, now)) > kept(now)
    ]
