"""Reports: each says what was measured, and what a model said stays text in all of them."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from evals import report as reports
from evals import store, trend
from evals.bad import Bad
from evals.report import junit, markdown, page, terminal
from evals.revision import Revision
from tests.conftest import ROOT

from .made import report, result

NASTY = "</pre><script>alert(1)</script> | `code` ``` <img src=x> @everybody [a](http://example.com) \x00\x1b"


def test_all_reports_name_the_prompt_the_metric_and_the_test_that_fell(tmp_path: Path) -> None:
    refused = report(result([0.0] * 20, says="25 days"), result([1.0] * 20))

    paths = reports.write(refused, tmp_path)

    assert [path.name for path in paths] == ["report.html", "report.json", "junit.xml", "report.md"]
    html, found, xml, said = (path.read_text() for path in paths)
    assert "answer is worse than the baseline" in html and "Correct fell from 100.0% to 0.0%" in html
    assert json.loads(found)["refused"][0] | {"reason": ""} == {
        "suite": "made", "prompt": "answer", "metric": "correct", "reason": ""
    }  # fmt: skip
    assert ElementTree.fromstring(xml).attrib == {"name": "evals", "tests": "20", "failures": "20"}
    assert said.startswith(markdown.MARKER) and "prompt `answer`" in said and "Correct fell" in said
    assert "Question 0?" in said and "Question 19?" not in said and "And 8 more" in said
    assert "WORSE" in terminal.render(refused) and "FAILED  acme: Question 3?" in terminal.render(refused)


def test_what_was_said_is_never_markup() -> None:
    nasty = report(result([0.0, 1.0], says=NASTY), result([1.0, 1.0]))

    html, said, xml = page.render(nasty), markdown.render(nasty), junit.render(nasty)

    assert "<script" not in html and "<img" not in html and "&lt;script&gt;" in html
    assert f"````text\n{NASTY}\n````" in said
    assert [
        case.find("failure").text
        for case in ElementTree.fromstring(xml).iter("testcase")
        if case.find("failure") is not None
    ] == [NASTY.replace("\x00", "�").replace("\x1b", "�")]


def test_the_page_needs_nothing_but_itself() -> None:
    html = page.render(report(result([1.0, 0.0])))

    assert "http://" not in html and "https://" not in html and " src=" not in html and "<link" not in html
    assert 'aria-label="Correct: 50.0%' in html


def test_a_comment_is_one_that_the_workflow_knows_again_and_github_takes() -> None:
    many = report(result([0.0] * 40, says="x" * 9_000), result([1.0] * 40))
    several = reports.Report([*many.results] * 20, many.outcomes, many.revision, many.entries)

    said = markdown.render(several)

    assert 20_000 < len(said) < 65_000 and said.endswith("The rest is in the report.\n")
    assert f'startswith("{markdown.MARKER}")' in (ROOT / ".github/workflows/evals.yml").read_text()


def test_nothing_touched_and_nothing_worse_are_good_news() -> None:
    good = report(result([1.0] * 3), result([1.0] * 3))

    assert markdown.render(good).splitlines()[1] == "### ✅ Evals: Nothing got worse"
    assert "No suite is touched" in markdown.render(reports.Report([], [], good.revision, {}))


def test_measurements_are_kept_by_revision_and_workspace_and_drawn_over_time(tmp_path: Path) -> None:
    for place, score in enumerate([0.2, 0.6, 1.0]):
        revision = Revision(f"c0ffee{place}", f"Change {place}", f"2026-01-0{place + 1}T10:00:00+00:00")
        store.save([result([score] * 4, floors={"correct": 0.5})], revision, folder=tmp_path)

    path = trend.write(tmp_path / "page/trend.html", folder=tmp_path)

    assert (tmp_path / "c0ffee0/made.offline.acme.json").is_file()
    html = path.read_text()
    assert 'aria-label="Correct from 20.0% at c0ffee0 to 100.0% at c0ffee2"' in html
    assert html.count('class="point below"') == 1 and html.count('class="point"') == 2
    assert html.index("Change 2") < html.index("Change 1") < html.index("Change 0")


def test_a_measurement_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "c0ffee").mkdir()
    (tmp_path / "c0ffee/made.offline.acme.json").write_text("{}")

    with pytest.raises(Bad, match=r"made\.offline\.acme\.json: is no measurement"):
        trend.write(tmp_path / "trend.html", folder=tmp_path)
