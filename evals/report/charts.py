"""Pictures as inline SVG; their colours are the page's. Every one says in words what it shows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from ..gate import Outcome

WIDTH, HEIGHT, EDGE = 400, 28, 10

Point = tuple[float, float]


def track(outcome: Outcome) -> str:
    """A metric on a rail from 0 to 1: its mean in its interval, the floor, and where the baseline was."""
    middle = HEIGHT / 2
    now = outcome.now
    parts = [f'<line class="rail" x1="{EDGE}" x2="{WIDTH - EDGE}" y1="{middle}" y2="{middle}"/>']
    parts += [
        f'<line class="notch" x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{middle - 3}" y2="{middle + 3}"/>'
        for at in (0, 0.25, 0.5, 0.75, 1)
    ]
    parts.append(f'<line class="interval" x1="{x(now.low):.1f}" x2="{x(now.high):.1f}" y1="{middle}" y2="{middle}"/>')
    if outcome.floor is not None:
        at = f"{x(outcome.floor):.1f}"
        parts.append(f'<line class="floor" x1="{at}" x2="{at}" y1="4" y2="{HEIGHT - 4}"/>')
    if outcome.before is not None:
        parts.append(f'<circle class="before" cx="{x(outcome.before):.1f}" cy="{middle}" r="5.5"/>')
    parts.append(f'<circle class="dot" cx="{x(now.mean):.1f}" cy="{middle}" r="4"/>')
    said = f"{outcome.title}: {now.mean:.1%}, with 95 % confidence {now.low:.1%} to {now.high:.1%}"
    return svg(parts, WIDTH, HEIGHT, said)


def x(value: float) -> float:
    return EDGE + value * (WIDTH - 2 * EDGE)


def sign(kind: str) -> str:
    """One of the track's signs, for its legend."""
    shapes = {
        "dot": '<circle class="dot" cx="14" cy="8" r="4"/>',
        "interval": '<line class="interval" x1="6" x2="22" y1="8" y2="8"/>',
        "floor": '<line class="floor" x1="14" x2="14" y1="1" y2="15"/>',
        "before": '<circle class="before" cx="14" cy="8" r="5"/>',
    }
    return f'<svg viewBox="0 0 28 16" aria-hidden="true">{shapes[kind]}</svg>'


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric at one revision; `is_new` if its tests aren't those of the revision before."""

    revision: str
    mean: float
    low: float
    high: float
    is_new: bool = False


LINE_WIDTH, LINE_HEIGHT, LEFT, TOP, BOTTOM = 300, 110, 30, 8, 16


def line(title: str, points: Sequence[Measured], *, floor: float | None, parts: Iterable[Sequence[float]] = ()) -> str:
    """A metric over revisions, in its interval; `parts` are its workspaces', where there are several."""
    across = [LEFT + (LINE_WIDTH - LEFT - 8) * (place / max(1, len(points) - 1)) for place in range(len(points))]
    lowest = min(
        [point.low for point in points] + ([floor] if floor is not None else []) + [v for p in parts for v in p]
    )
    base = max(0.0, (int(lowest * 10) - 1) / 10)

    def y(value: float) -> float:
        return TOP + (LINE_HEIGHT - TOP - BOTTOM) * (1 - (value - base) / (1 - base))

    drawn = []
    for value in (base, (1 + base) / 2, 1.0):
        drawn.append(f'<line class="rail" x1="{LEFT}" x2="{LINE_WIDTH - 8}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        drawn.append(f'<text x="{LEFT - 6}" y="{y(value) + 3:.1f}" text-anchor="end">{100 * value:.0f}</text>')
    above = [(at, y(point.high)) for at, point in zip(across, points, strict=True)]
    below = [(at, y(point.low)) for at, point in zip(across, points, strict=True)]
    drawn.append(f'<polygon class="band" points="{joined([*above, *reversed(below)])}"/>')
    if floor is not None:
        drawn.append(f'<line class="least" x1="{LEFT}" x2="{LINE_WIDTH - 8}" y1="{y(floor):.1f}" y2="{y(floor):.1f}"/>')
    drawn += [
        f'<line class="other" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{LINE_HEIGHT - BOTTOM}"/>'
        for at, point in zip(across, points, strict=True)
        if point.is_new
    ]
    for part in parts:
        drawn.append(f'<polyline class="line part" points="{joined(zip(across, map(y, part), strict=True))}"/>')
    drawn.append(f'<polyline class="line" points="{joined(zip(across, (y(p.mean) for p in points), strict=True))}"/>')
    for at, point in zip(across, points, strict=True):
        kind = "point below" if floor is not None and point.mean < floor else "point"
        said = f"{point.revision}: {point.mean:.1%} ({point.low:.1%} to {point.high:.1%})"
        place = f'cx="{at:.1f}" cy="{y(point.mean):.1f}" r="3.5"'
        drawn.append(f'<circle class="{kind}" {place}><title>{escape(said)}</title></circle>')
    for at, point, anchor in ((across[0], points[0], "start"), (across[-1], points[-1], "end"))[: len(points)]:
        drawn.append(
            f'<text x="{at:.1f}" y="{LINE_HEIGHT - 2}" text-anchor="{anchor}">{escape(point.revision[:7])}</text>'
        )
    said = (
        f"{title} from {points[0].mean:.1%} at {points[0].revision} to {points[-1].mean:.1%} at {points[-1].revision}"
    )
    return svg(drawn, LINE_WIDTH, LINE_HEIGHT, said)


def joined(points: Iterable[Point]) -> str:
    return " ".join(f"{across:.1f},{down:.1f}" for across, down in points)


def svg(parts: Iterable[str], width: int, height: int, said: str) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(said)}">{"".join(parts)}</svg>'
