"""A line with its interval over days, as coordinates: the templates draw it, and need to compute nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from .metrics import Metric

WIDTH, HEIGHT = 320, 150  # of the drawing, in its own units
LEFT, RIGHT, TOP, BOTTOM = 40, 8, 16, 20
LEAST_SPAN = 0.1  # of a share's scale, so that a wobble doesn't look like a fall
ROOM = 0.15  # above and below the line, as a share of its span


@dataclass(frozen=True, slots=True)
class Point:
    """A day's mean with its interval, of `n` values."""

    day: date
    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Row:
    """A point as it is drawn, and as it is read."""

    day: date
    x: float
    y: float
    mean: str
    interval: str
    n: int


@dataclass(frozen=True, slots=True)
class Chart:
    """`line` and `band` are paths, `grid` and `days` places with their labels, `marks` where something changed."""

    name: str
    metric: Metric
    rows: list[Row]
    line: str
    band: str
    grid: list[tuple[float, str]]
    days: list[tuple[float, str]]
    marks: list[tuple[float, str]] = field(default_factory=list)

    @property
    def latest(self) -> Row:
        return self.rows[-1]


def draw(
    name: str,
    metric: Metric,
    points: Sequence[Point],
    *,
    first: date,
    last: date,
    marks: Sequence[tuple[date, str]] = (),
) -> Chart:
    """`points` by day, at least one, from `first` to `last`. A day without one breaks the line."""
    low, high = scale(metric, points)
    span = max((last - first).days, 1)

    def x(day: date) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (day - first).days / span, 1)

    def y(value: float) -> float:
        share = (min(max(value, low), high) - low) / (high - low)
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share, 1)

    rows = [
        Row(p.day, x(p.day), y(p.mean), metric.shown(p.mean), f"{metric.shown(p.low)} to {metric.shown(p.high)}", p.n)
        for p in points
    ]
    pieces = unbroken(points)
    middle = first + timedelta(days=span // 2)
    return Chart(
        name=name,
        metric=metric,
        rows=rows,
        line=" ".join(path([(x(p.day), y(p.mean)) for p in piece]) for piece in pieces),
        band=" ".join(
            path([(x(p.day), y(p.high)) for p in piece] + [(x(p.day), y(p.low)) for p in reversed(piece)]) + "Z"
            for piece in pieces
        ),
        grid=[(y(value), metric.tick(value)) for value in (low, (low + high) / 2, high)],
        days=[(x(day), f"{day:%-d %b}") for day in (first, middle, last)],
        marks=[(x(day), label) for day, label in marks],
    )


def scale(metric: Metric, points: Sequence[Point]) -> tuple[float, float]:
    """What the lower and the upper edge stand for. Money and time begin at nothing, shares close to the line."""
    low, high = min(p.low for p in points), max(p.high for p in points)
    if metric.unit != "share":
        return 0.0, high * (1 + ROOM) or 1.0
    room = (high - low) * ROOM
    low, high = max(0.0, low - room), min(1.0, high + room)
    if high - low < LEAST_SPAN:
        high = min(1.0, low + LEAST_SPAN)
        low = max(0.0, high - LEAST_SPAN)
    return low, high


def unbroken(points: Sequence[Point]) -> list[list[Point]]:
    pieces: list[list[Point]] = []
    for point in points:
        if pieces and (point.day - pieces[-1][-1].day).days == 1:
            pieces[-1].append(point)
        else:
            pieces.append([point])
    return pieces


def path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in places)
