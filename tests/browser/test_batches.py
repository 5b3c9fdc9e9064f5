"""A batch in a real browser: a file is dropped, laid out, previewed, started, finished and downloaded."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from apps.prompts.lines import read_variables
from apps.prompts.publish import make
from apps.runs.models import Batch
from apps.tenants.context import tenant_context
from tests.conftest import Cast

ROWS = "Question,Name\n" + "".join(f"How many days of leave do we get?,Person {number}\n" for number in range(1, 6))


def test_a_file_becomes_answers(committed_cast: Cast, visit: Callable[..., Page], tmp_path: Path) -> None:
    with tenant_context(committed_cast.acme):
        make("ask", "{question}", variables=read_variables("", "{question}"))
        make("greet", "Greet {name} about {question}", variables=read_variables("", "{name}{question}"))
    good, bad = tmp_path / "people.csv", tmp_path / "bad.csv"
    good.write_text(ROWS)
    bad.write_text("Question,Name\nWho?\n")
    page = visit(committed_cast.bob, "/t/acme/batches/")

    page.get_by_role("link", name="Make the first batch").click()
    chooser = page.get_by_label("Choose a file of rows")
    chooser.set_input_files(bad)
    expect(page.get_by_text("Row 1: there are 1 cells")).to_be_visible()
    chooser.set_input_files(good)

    page.get_by_label("Prompt of step 1").select_option(label="ask")
    picture = page.get_by_role("region", name="Pipeline")
    expect(picture).to_contain_text("Question")
    page.get_by_role("button", name="Another step").click()
    second = page.get_by_label("Prompt of step 2")
    expect(second).to_be_focused()
    second.select_option(label="greet")
    page.get_by_label("Where {question} comes from").nth(1).select_option(label="The same text")
    page.get_by_label("Text for {question}").fill("the leave policy")
    page.get_by_label("For which rows").nth(1).select_option(value="column:Name")
    page.get_by_label("Compared with").fill("Person 2")
    page.keyboard.press("Tab")
    expect(picture).to_contain_text("only if Name is Person 2")
    expect(picture).to_contain_text("“the leave policy”")
    page.get_by_role("button", name="See the cost").click()

    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("What is answered stays")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="skipped")).to_have_count(2)
    page.get_by_role("button", name="Start 5 rows").click()
    expect(page.locator("#batch-state")).to_have_text("Done")
    expect(page.get_by_role("progressbar", name="Rows")).to_have_attribute("aria-valuetext", "5 of 5 rows")
    expect(page.locator("tbody tr")).to_have_count(5)

    page.get_by_role("button", name="Download").click()
    with page.expect_download() as downloaded:
        page.get_by_text("CSV, for spreadsheets").click()
    rows = list(csv.DictReader(io.StringIO(downloaded.value.path().read_text("utf-8-sig"))))
    assert [row["status"] for row in rows] == ["done"] * 5
    assert all(row["Step 1: answer"] and row["Step 1: run"] for row in rows)
    assert [bool(row["Step 2: run"]) for row in rows] == [False, True, False, False, False]
    with tenant_context(committed_cast.acme):
        assert Batch.objects.get().status == Batch.Status.DONE

    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
