"""The reports of the last weeks as charts, with the days on which other words went live."""

from collections.abc import Sequence
from datetime import date
from itertools import pairwise

from ..models import EvalReport
from .chart import Chart, Point, draw
from .metrics import METRICS

Change = tuple[date, str]


def charts(reports: Sequence[EvalReport], *, first: date, last: date) -> list[Chart]:
    """One for each metric that was measured. `reports` by day."""
    changes = prompt_changes(reports)
    found = []
    for name, metric in METRICS.items():
        points = [point(report, name) for report in reports if report.scores.get(name, {}).get("n")]
        if points:
            found.append(draw(name, metric, points, first=first, last=last, marks=changes))
    return found


def point(report: EvalReport, name: str) -> Point:
    score = report.scores[name]
    return Point(report.day, score["mean"], score["low"], score["high"], score["n"])


def prompt_changes(reports: Sequence[EvalReport]) -> list[Change]:
    """Days whose live versions weren't those of the report before, and which they were."""
    found = []
    for before, now in pairwise(reports):
        other = [
            version["label"]
            for name, version in now.prompt_versions.items()
            if version["id"] != before.prompt_versions.get(name, {}).get("id")
        ]
        if other:
            found.append((now.day, ", ".join(other)))
    return found
