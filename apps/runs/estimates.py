"""How sure a share, a mean or a median is: 95 % intervals, by what is standard for each.

share(hits, n)            Wilson's score interval
mean(average, deviation, n)   the mean, by the normal approximation
ranks(n)                  of a sorted sample: which two values hold its median between them
between(a, b)             the difference of two shares, Newcombe's interval from Wilson's
"""

from dataclasses import dataclass
from math import ceil, floor, sqrt

Z = 1.959964  # of 95 %


@dataclass(frozen=True, slots=True)
class Estimate:
    """`value` with the interval that holds the true one in 95 of 100 such samples; `n` values were measured."""

    value: float
    low: float
    high: float
    n: int


def share(hits: int, n: int) -> Estimate | None:
    """Of `n`, 0 to 1; None without any."""
    if not n:
        return None
    p, z2 = hits / n, Z * Z
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z * sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return Estimate(p, max(0.0, middle - half), min(1.0, middle + half), n)


def mean(average: float | None, deviation: float | None, n: int) -> Estimate | None:
    """deviation: the sample's standard deviation; one value alone has none, and no interval."""
    if average is None or not n:
        return None
    half = Z * (deviation or 0.0) / sqrt(n)
    return Estimate(average, max(0.0, average - half), average + half, n)


def ranks(n: int) -> tuple[int, int]:
    """Positions in a sorted sample, from 1, between which its population's median is, by the binomial distribution."""
    half = Z * sqrt(n) / 2
    return max(1, floor(n / 2 - half)), min(n, ceil(n / 2 + 1 + half))


def between(a: Estimate, b: Estimate) -> Estimate:
    """How much larger the share `b` is than `a`, -1 to 1."""
    difference = b.value - a.value
    low = difference - sqrt((b.value - b.low) ** 2 + (a.high - a.value) ** 2)
    high = difference + sqrt((b.high - b.value) ** 2 + (a.value - a.low) ** 2)
    return Estimate(difference, low, high, min(a.n, b.n))
