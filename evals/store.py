"""Measurements, kept by the state of the code that they are of: <state folder>/evals/<revision>/<suite>.….json."""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from config.bootstrap import STATE_DIR

from .bad import Bad
from .results import FORMAT, SuiteResult
from .revision import Revision

FOLDER = STATE_DIR / "evals"


def save(results: Sequence[SuiteResult], revision: Revision, *, folder: Path = FOLDER) -> Path:
    """A file for each suite, provider and workspace; what was measured of the same revision before is replaced."""
    place = folder / revision.name
    place.mkdir(parents=True, exist_ok=True)
    about = {
        "format": FORMAT,
        "revision": revision.name,
        "subject": revision.subject,
        "at": revision.at,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    for result in results:
        for workspace in sorted({test.workspace for test in result.tests}):
            name = f"{result.name}.{safe(result.provider)}.{safe(workspace)}.json"
            measured = about | {"workspace": workspace} | result.as_json(workspace=workspace, whole=False)
            (place / name).write_text(json.dumps(measured, ensure_ascii=False, indent=1))
    return place


def safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name)


def stored(folder: Path = FOLDER) -> Iterator[dict[str, Any]]:
    """Every measurement, the oldest commit first. Raises Bad for a file that isn't one."""
    found = []
    for path in sorted(folder.glob("*/*.json")):
        try:
            measured = json.loads(path.read_text())
            if measured["format"] != FORMAT:
                raise KeyError("format")
            found.append((measured["at"], measured["revision"], measured))
        except (ValueError, KeyError, TypeError) as error:
            raise Bad(
                str(path), "is no measurement that can be read", "Delete it, or measure that revision again"
            ) from error
    yield from (measured for _, _, measured in sorted(found, key=lambda each: each[:2]))
