"""The workflow's comment: made once, then kept up to date, and not made to say that there is nothing to say."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from evals import report as reports
from evals.report import markdown
from tests.conftest import ROOT

from .made import report, result

STEPS = yaml.safe_load((ROOT / ".github/workflows/evals.yml").read_text())["jobs"]["gate"]["steps"]
SAY = next(step for step in STEPS if step.get("name") == "Say it on the pull request")["run"]
GH = """#!/bin/sh
printf '%s\\n' "$*" >> calls
case "$*" in *--paginate*) cat earlier ;; esac
"""

WORSE = report(result([0.0] * 9), result([1.0] * 9))
UNTOUCHED = reports.Report([], [], WORSE.revision, {})


@pytest.mark.parametrize(
    ("said", "earlier", "wanted"),
    [
        (WORSE, "", "api --method POST comments --field body=@evals-report/report.md --silent"),
        (WORSE, "42\n43\n", "api --method PATCH comment/42 --field body=@evals-report/report.md --silent"),
        (UNTOUCHED, "42\n", "api --method PATCH comment/42 --field body=@evals-report/report.md --silent"),
        (UNTOUCHED, "", None),
    ],
)
def test_a_pull_request_gets_one_comment(
    tmp_path: Path, said: reports.Report, earlier: str, wanted: str | None
) -> None:
    (tmp_path / "evals-report").mkdir()
    (tmp_path / "evals-report/report.md").write_text(markdown.render(said))
    (tmp_path / "earlier").write_text(earlier)
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)

    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "COMMENTS": "comments", "COMMENT": "comment"}
    subprocess.run(["bash", "-e", "-c", SAY], cwd=tmp_path, env=env, check=True)

    looked, *made = (tmp_path / "calls").read_text().splitlines()
    assert looked.startswith("api --paginate comments --jq ") and json.dumps(markdown.MARKER) in looked
    assert made == ([wanted] if wanted else [])


def test_the_gate_blocks_and_no_code_of_a_pull_request_sees_a_token_that_can_write() -> None:
    gate = next(step for step in STEPS if "evals gate" in step.get("run", ""))

    assert "continue-on-error" not in gate and "|" not in gate["run"]
    assert [step for step in STEPS if "GH_TOKEN" in step.get("env", {})] == [STEPS[-1]]
    assert STEPS[0]["with"]["persist-credentials"] is False
