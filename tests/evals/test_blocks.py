"""The whole gate, as a pull request meets it: a worsened prompt is committed in a checkout of its own, and refused."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from config import embedded
from tests.conftest import ROOT

LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".corbel", ".*_cache", "node_modules", "dist", "staticfiles")
ANSWER = "apps/prompts/catalog/answer.md"


@pytest.fixture
def state() -> Iterator[Path]:
    """A state folder beside the tests' own, which the servers' user can reach."""
    folder = settings.STATE_DIR / f"test-gate-{os.getpid()}"
    yield folder
    embedded.remove(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with what is here now as its one commit."""
    folder = tmp_path / "checkout"
    shutil.copytree(ROOT, folder, ignore=LEFT_OUT, symlinks=True)
    git(folder, "init", "--quiet", "--initial-branch", "main")
    commit(folder, "As it is")
    return folder


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Alice", "-c", "user.email=alice@acme.example", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def commit(folder: Path, message: str) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


def evals(folder: Path, *arguments: str, state: Path) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"STATE_DIR": str(state), "MINILM_DIR": str(settings.MINILM_DIR)}
    command = [sys.executable, "-m", "evals", *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_a_worsened_prompt_is_refused_and_the_comment_names_it_and_what_got_worse(
    checkout: Path, state: Path, tmp_path: Path
) -> None:
    prompt = (checkout / ANSWER).read_text()
    kept = [line for line in prompt.splitlines() if "in square brackets" not in line]
    (checkout / ANSWER).write_text("\n".join(kept) + "\n")
    suite = checkout / "evals/suites/instructions.yaml"
    suite.write_text(suite.read_text().replace("cited: 0.9", "cited: 0.1"))
    commit(checkout, "Shorter answers")

    report = tmp_path / "report"
    asked = ("gate", "instructions", "route", "--since", "HEAD~1", "--report", str(report))
    gate = evals(checkout, *asked, state=state)

    assert len(kept) == len(prompt.splitlines()) - 1
    assert gate.returncode == 1, gate.stdout + gate.stderr
    assert "route" not in gate.stdout  # whose prompt is as it was
    comment = (report / "report.md").read_text()
    assert "### ❌ Evals: answer is worse than the baseline" in comment
    assert "**instructions** (prompt `answer`): Cited fell from 100.0%" in comment
    assert "The floor of cited of instructions goes from" in comment
    assert "answer is worse than the baseline" in (report / "report.html").read_text()
