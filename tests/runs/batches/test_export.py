"""Results are taken out whole, with runs and fields, and run nothing in a spreadsheet."""

import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from apps.runs.batches import export
from apps.runs.batches.control import start
from apps.runs.batches.create import PlannedStep
from apps.runs.models import Batch, BatchResult
from apps.tenants.context import tenant_context
from apps.tenants.threads import in_thread
from tests.conftest import Cast
from tests.gateway.stub import Refuse

from .rows import SCHEMA, RowStub, csv_of, draft, says, version, work_off

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "platform"])

EVIL = '=HYPERLINK("https://evil.example")'


def batch_of(acme: Cast, stub: RowStub) -> Batch:
    rate = PlannedStep(version("Rate {text}", schema=SCHEMA), {"text": {"column": "text"}}, label="Rate")
    say = PlannedStep(
        version("Say {text}"),
        {"text": {"column": "text"}},
        condition={"step": 1, "field": "score", "is": "above", "value": "0"},
    )

    def answering(words: str, nth: int) -> Any:
        if words == "Say broken":
            return (Refuse(400, "invalid_request_error"),)
        score = -5 if "low" in words else 7
        return says(json.dumps({"kind": "good", "score": score}) if words.startswith("Rate") else EVIL)

    stub.answering = answering
    batch = draft(acme.alice, sheet=csv_of({"text": "@fine"}, {"text": "low"}, {"text": "broken"}), steps=[rate, say])
    start(batch)
    return work_off(batch)


async def whole(pieces: AsyncIterator[str]) -> str:
    return "".join([piece async for piece in pieces])


async def test_csv_has_a_column_for_every_field_and_no_formula(
    acme: Cast, stub: RowStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "ROWS_AT_ONCE", 2)
    batch = await in_thread(batch_of, acme, stub)
    with tenant_context(acme.globex):  # whoever sends it has left the workspace's context
        text = await whole(export.as_csv(batch))

    assert text.startswith("\ufeff")
    lines = list(csv.reader(io.StringIO(text[1:])))
    ids = {
        (result.row.number, result.step.position): str(result.run_id)
        for result in await in_thread(lambda: list(BatchResult.objects.select_related("row", "step")))
    }
    assert lines[0] == [
        "row",
        "status",
        "error",
        "text",
        "Rate: kind",
        "Rate: score",
        "Rate: run",
        "Step 2: answer",
        "Step 2: run",
    ]
    assert lines[1:3] == [
        ["1", "done", "", "'@fine", "good", "7", ids[1, 1], f"'{EVIL}", ids[1, 2]],
        ["2", "done", "", "low", "good", "-5", ids[2, 1], "", ""],
    ]
    assert lines[3][:2] == ["3", "failed"] and lines[3][2].startswith("The model refused the request as we sent it.")
    assert lines[3][3:] == ["broken", "good", "7", ids[3, 1], "", ids[3, 2]]


async def test_json_lines_say_everything(acme: Cast, stub: RowStub) -> None:
    batch = await in_thread(batch_of, acme, stub)

    first, second, third = map(json.loads, (await whole(export.as_json_lines(batch))).splitlines())

    run = await in_thread(lambda: BatchResult.objects.get(row__number=1, step__position=1).run_id)
    assert first["input"] == {"text": "@fine"} and first["status"] == "done"
    assert first["steps"][0] == {
        "step": 1,
        "label": "Rate",
        "status": "ok",
        "answer": '{"kind": "good", "score": 7}',
        "value": {"kind": "good", "score": 7},
        "run": str(run),
    }
    assert second["steps"][1] == {
        "step": 2,
        "label": "Step 2",
        "status": "skipped",
        "answer": "",
        "value": None,
        "run": None,
    }
    assert third["error"]["code"] == "bad_request" and third["steps"][1]["status"] == "failed"
