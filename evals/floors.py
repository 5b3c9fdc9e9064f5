"""Floors that a change lowers, so that nobody merges that unseen: the gate holds what is there now against itself."""

from collections.abc import Sequence
from typing import Any

import yaml

from .bad import ROOT
from .suite import SUITES, Suite
from .touched import git, left_at


def lowered(since: str, suites: Sequence[Suite]) -> list[str]:
    """In sentences, by suite, against a revision. Raises Bad for one that isn't there."""
    base = left_at(since)
    notes = []
    for suite in suites:
        name = str((SUITES / f"{suite.name}.yaml").relative_to(ROOT))
        if git("ls-tree", base, "--", name).strip():
            notes += differences(floors_in(git("show", f"{base}:{name}")), suite)
    return notes


def floors_in(text: str) -> dict[str, Any]:
    """{} for a suite that couldn't be read then either."""
    try:
        floors = yaml.safe_load(text)["floors"]
    except (yaml.YAMLError, KeyError, TypeError):
        return {}
    return floors if isinstance(floors, dict) else {}


def differences(before: dict[str, Any], suite: Suite) -> list[str]:
    found = []
    for metric, floor in before.items():
        now = suite.floors.get(metric)
        if isinstance(floor, int | float) and (now is None or now < floor):
            found.append(f"The floor of {metric} of {suite.name} goes from {floor:.0%} to {now or 0:.0%}.")
    return found
