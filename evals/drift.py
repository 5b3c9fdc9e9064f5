"""Whether a workspace's answers have become worse than they were the week before.

Not the same answers on both sides, so nothing is paired: both sides are drawn again, and the interval holds the middle
99 % of the differences. That is wider than the gate's: it looks at several metrics of each workspace every night, and
with 95 % somebody would be woken for nothing every week.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np

from apps.chat.quality.metrics import METRICS, Metric

DRAWS = 4_000
LOW, HIGH = 0.5, 99.5
WEEK = 7


@dataclass(frozen=True, slots=True)
class Measured:
    """A day's values by metric."""

    day: date
    values: dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Change:
    """The means of the week before and now, and the interval of what lies between them."""

    metric: str
    before: float
    now: float
    low: float
    high: float

    @property
    def is_worse(self) -> bool:
        """By more than its slack, and not by chance."""
        metric = METRICS[self.metric]
        allowed = metric.allowed(self.before)
        return self.high < -allowed if metric.is_better_high else self.low > allowed

    def as_json(self) -> dict[str, Any]:
        return {name: value if isinstance(value, str) else round(value, 6) for name, value in asdict(self).items()}


def changes(days: Sequence[Measured], *, name: str) -> list[Change]:
    """For each metric that the newest of `days` has. `name` seeds the draws."""
    newest = max(days, key=lambda each: each.day)
    found = []
    for key, metric in METRICS.items():
        if newest.values.get(key) and (sides := windows(days, key, metric)):
            found.append(change(key, *sides, name=f"{name} {newest.day} {key}"))
    return found


def windows(days: Sequence[Measured], key: str, metric: Metric) -> tuple[list[float], list[float]] | None:
    """The values of the week before, and those of now: of the newest day, or of as many days before it, up to a week,
    as it takes to have enough. None where either side has too few."""
    by_day = {each.day: each.values.get(key, []) for each in days}
    day, now = max(by_day), list[float]()
    first = day - timedelta(days=WEEK - 1)
    now += by_day[day]
    while len(now) < metric.least and day > first:
        day -= timedelta(days=1)
        now += by_day.get(day, [])
    before = [value for back in range(1, WEEK + 1) for value in by_day.get(day - timedelta(days=back), [])]
    return (before, now) if min(len(before), len(now)) >= metric.least else None


def change(metric: str, before: Sequence[float], now: Sequence[float], *, name: str) -> Change:
    generator = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]))
    low, high = np.percentile(means(now, generator) - means(before, generator), [LOW, HIGH])
    return Change(metric, float(np.mean(before)), float(np.mean(now)), float(low), float(high))


def means(values: Sequence[float], generator: np.random.Generator) -> np.ndarray:
    """Of `DRAWS` samples with replacement; float64 [DRAWS]."""
    found = np.asarray(values, dtype=float)
    return found[generator.integers(len(found), size=(DRAWS, len(found)))].mean(axis=1)
