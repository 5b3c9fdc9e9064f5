"""Which state of the code was measured."""

from dataclasses import dataclass
from datetime import UTC, datetime

from .bad import Bad
from .touched import git


@dataclass(frozen=True, slots=True)
class Revision:
    """`name` is a folder's, too: the commit, and whether the working tree had changes; `at` is the commit's time."""

    name: str
    subject: str
    at: str


def current() -> Revision:
    """Outside a repository it is the time of the run."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        commit, at, subject = git("log", "-1", "--format=%h%x00%cI%x00%s", "--abbrev=12").strip().split("\0")
        has_changes = bool(git("status", "--porcelain").strip())
    except Bad:
        return Revision("no-revision", "not in a repository", now)
    return Revision(f"{commit}-changed", subject, now) if has_changes else Revision(commit, subject, at)
