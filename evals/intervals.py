"""Bootstrap intervals: how far a mean could be another one with other tests of the same kind.

Tests are drawn again with replacement, `DRAWS` times; the interval holds the middle 95 % of the means. The draws are
the same for the same name, so a gate says the same twice.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 10_000
LOW, HIGH = 2.5, 97.5


@dataclass(frozen=True, slots=True)
class Interval:
    mean: float
    low: float
    high: float


def of_mean(scores: Sequence[float], *, name: str) -> Interval:
    """The mean of `scores` with its 95 % interval. `name` seeds the draws. Raises ValueError without scores."""
    values = np.asarray(scores, dtype=float)
    if not len(values):
        raise ValueError(f"{name} has no scores")
    generator = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]))
    drawn = values[generator.integers(len(values), size=(DRAWS, len(values)))].mean(axis=1)
    low, high = np.percentile(drawn, [LOW, HIGH])
    return Interval(float(values.mean()), float(low), float(high))


def of_change(before: Sequence[float], now: Sequence[float], *, name: str) -> Interval:
    """The mean change from `before` to `now` of the same tests in the same order: paired, so that what makes one test
    harder than another falls out."""
    return of_mean([b - a for a, b in zip(before, now, strict=True)], name=name)
