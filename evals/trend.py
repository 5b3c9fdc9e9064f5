"""A page of every metric over the revisions that were measured."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from . import intervals, store
from .metrics import METRICS
from .report import charts
from .report.charts import Measured
from .report.frame import render, safe

MOST_REVISIONS = 60

Stored = dict[str, Any]
"""One suite's measurement of one revision in one workspace, as `store` keeps it."""


def write(path: Path, *, folder: Path = store.FOLDER) -> Path:
    """Raises Bad for a measurement that can't be read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page([*store.stored(folder)]))
    return path


def page(measured: Sequence[Stored]) -> str:
    """`measured` from the oldest revision to the newest."""
    revisions = {each["revision"]: each for each in measured}
    kinds = sorted({(each["suite"], each["provider"]) for each in measured})
    says = (
        f"{len(revisions)} revisions, the newest on the right. Each mean stands in its 95 % interval, red where it is "
        "below its floor (dashed); thin lines are single workspaces. From a dotted line on, its tests are others."
    )
    return render(
        "trend.html",
        title="What answers were worth" if measured else "Nothing has been measured yet",
        says=says if measured else "python -m evals run measures this revision.",
        suites=[of_suite([each for each in measured if (each["suite"], each["provider"]) == kind]) for kind in kinds],
        revisions=[
            {"name": name, "at": each["at"][:10], "subject": each["subject"]}
            for name, each in reversed(revisions.items())
        ],
    )


def of_suite(measured: Sequence[Stored]) -> dict[str, Any]:
    by_revision = [[*group] for _, group in groupby(measured, key=lambda each: each["revision"])][-MOST_REVISIONS:]
    newest = by_revision[-1]
    workspaces = sorted({each["workspace"] for group in by_revision for each in group})
    metrics = [metric for metric in METRICS if any(metric in each["metrics"] for each in newest)]
    return {
        "name": newest[0]["suite"],
        "description": newest[0]["description"],
        "about": [newest[0]["provider"], f"workspaces {', '.join(workspaces)}"],
        "charts": [chart(metric, by_revision, workspaces) for metric in metrics],
    }


def chart(metric: str, by_revision: Sequence[Sequence[Stored]], workspaces: Sequence[str]) -> dict[str, Any]:
    """The mean over all workspaces in its interval, and thinner the mean of each."""
    having = [group for group in by_revision if any(metric in each["metrics"] for each in group)]
    points: list[Measured] = []
    known: set[str] = set()
    for group in having:
        found = intervals.of_mean(scores(group, metric), name=f"{group[0]['suite']} {metric}")
        checksums = {each["checksum"] for each in group}
        points.append(
            Measured(group[0]["revision"], found.mean, found.low, found.high, bool(known) and checksums != known)
        )
        known = checksums
    parts = [means(having, metric, workspace) for workspace in workspaces] if len(workspaces) > 1 else []
    floor = next((each["metrics"][metric]["floor"] for each in having[-1] if metric in each["metrics"]), None)
    return {
        "title": METRICS[metric].title,
        "says": METRICS[metric].says,
        "last": f"{points[-1].mean:.1%}",
        "chart": safe(charts.line(METRICS[metric].title, points, floor=floor, parts=[part for part in parts if part])),
    }


def scores(group: Sequence[Stored], metric: str) -> list[float]:
    return [test["scores"][metric] for each in group for test in each["tests"] if metric in test["scores"]]


def means(having: Sequence[Sequence[Stored]], metric: str, workspace: str) -> list[float]:
    """One for each revision; none at all for a workspace that wasn't measured each time."""
    found = [
        each["metrics"][metric]["mean"]
        for group in having
        for each in group
        if each["workspace"] == workspace and metric in each["metrics"]
    ]
    return found if len(found) == len(having) else []
