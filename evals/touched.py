"""Which suites a change can make better or worse: by the files that differ from a revision, in the working tree too."""

import subprocess
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path

from . import workspaces
from .bad import ROOT, Bad
from .suite import Suite

# What every suite goes through, and what only those go through that search.
PIPELINE = (
    *("evals/*.py", "evals/baseline.json", "benchmarks/stage.py", "config/*.py", "requirements/*.txt"),
    *("apps/runs/*.py", "apps/prompts/*.py"),
)
SEARCHING = ("answer", "judge")  # an answer is judged in the conversation that it was given in
SEARCH = ("apps/knowledge/*.py", "apps/chat/*.py")
REBUILT = "Fetch the history first: git fetch --unshallow, or fetch-depth: 0 in a workflow."


def touched(suites: Sequence[Suite], *, since: str) -> list[Suite]:
    """Raises Bad for a revision that isn't there."""
    files = changed_files(since)
    return [suite for suite in suites if is_touched(suite, files)]


def is_touched(suite: Suite, files: Iterable[str]) -> bool:
    patterns = [*PIPELINE, relative(suite.path)]
    if suite.prompt:
        patterns.append(f"apps/prompts/catalog/{suite.prompt}.md")
    if suite.corpus:
        patterns.append(f"{relative(suite.corpus.folder)}/*")
    else:
        folders = workspaces.folders()
        patterns += [f"{relative(folders[workspace])}/*" for workspace in {test.workspace for test in suite.tests}]
    if suite.corpus or suite.prompt in SEARCHING:
        patterns += SEARCH
    if suite.prompt == "judge":
        patterns.append("apps/prompts/catalog/answer.md")
    return any(fnmatch(file, pattern) for file in files for pattern in patterns)


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def changed_files(since: str) -> list[str]:
    """Paths from the root that differ from where this branch left `since`, and those that git doesn't know yet."""
    base = left_at(since)
    changed = git("diff", "--name-only", "--no-renames", "-z", base)
    return [name for name in (changed + git("ls-files", "--others", "--exclude-standard", "-z")).split("\0") if name]


def left_at(since: str) -> str:
    """The commit where this branch left `since`."""
    commit = git("rev-parse", "--verify", "--end-of-options", f"{since}^{{commit}}").strip()
    return git("merge-base", commit, "HEAD").strip()


def git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603, S607
    except FileNotFoundError as error:
        raise Bad("git", "is not installed", "Install it, or leave --since out.") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().partition("\n")[0] or f"{' and '.join(arguments[1:])} share no history"
        raise Bad(f"git {arguments[0]}", said, f"Name a revision that is here. {REBUILT}") from error
    return done.stdout
