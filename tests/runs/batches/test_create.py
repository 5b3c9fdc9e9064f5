"""A file and steps become a draft: what doesn't fit is said with row and column before anything is spent."""

import math
from decimal import Decimal
from typing import Any

import pytest

from apps.prompts import publish
from apps.runs.batches.control import start
from apps.runs.batches.create import PlannedStep, create, estimate, plan, suggested
from apps.runs.batches.errors import BadFile, Refused
from apps.runs.batches.mapping import TESTS, holds
from apps.runs.models import Batch, BatchResult, BatchRow, BatchStep, Policy, Run
from apps.runs.refusals import Unpriced
from apps.tenants.context import tenant_context
from apps.tenants.models import AuditEvent, ProviderKey
from tests.conftest import Cast

from .rows import SCHEMA, RowStub, csv_of, draft, echo, numbered, says, version, work_off

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "platform"])


def flaws(acme: Cast, sheet: Any, *steps: PlannedStep) -> list[str]:
    with pytest.raises(BadFile) as caught:
        draft(acme.alice, sheet=sheet, steps=list(steps))
    assert not Batch.objects.exists() and not BatchRow.objects.exists()
    return list(map(str, caught.value.flaws))


def refusals(acme: Cast, *steps: PlannedStep) -> list[str]:
    with pytest.raises(Refused) as caught:
        draft(acme.alice, steps=list(steps))
    assert not Batch.objects.exists()
    return str(caught.value).split("\n")


def test_a_draft_has_all_rows_in_their_order(acme: Cast) -> None:
    batch = create("  A  batch ", sheet=numbered(2_345), user=acme.bob, source_name="names.csv")

    assert (batch.name, batch.status, batch.row_count, batch.columns) == ("A batch", "draft", 2_345, ["name"])
    rows = list(batch.rows.order_by("number").values_list("number", "input"))
    assert rows == [(number, {"name": f"n{number}"}) for number in range(1, 2_346)]
    event = AuditEvent.objects.get(action="batch.created")
    assert (event.target_name, event.details) == ("A batch", {"rows": 2_345})
    with pytest.raises(Refused, match="no prompt yet"):
        start(batch)


def test_values_of_the_wrong_type_are_told_with_row_and_column(acme: Cast) -> None:
    words = version("{size} of {what}, {on}, {more}", size="integer", what="line", on="boolean", more="json")
    mapping = {"size": {"column": "Size"}, "what": {"column": "What"}, "on": {"text": "yes"}, "more": {"text": "{}"}}
    sheet = [{"Size": "3", "What": "one"}, {"Size": "many", "What": "one"}, {"Size": "4", "What": "two\nlines"}]

    assert flaws(acme, csv_of(*sheet), PlannedStep(words, mapping)) == [
        "Row 2, column “Size”: size is no whole number. Write one such as 3.",
        "Row 3, column “What”: what has a line break. Write it on one line.",
    ]
    # What is the same for all rows is wrong in none of them.
    mapping["more"] = {"text": "{"}
    assert flaws(acme, csv_of(sheet[0]), PlannedStep(words, mapping)) == [
        'More is no JSON. Write some such as {"size": 3}.'
    ]


def test_a_row_that_skips_a_step_needs_no_value_for_it(acme: Cast) -> None:
    step = PlannedStep(
        version("{size}", size="integer"),
        {"size": {"column": "size"}},
        condition={"column": "size", "is": "not_empty"},
    )

    batch = draft(acme.alice, sheet=csv_of({"size": "3", "of": "x"}, {"size": "", "of": "x"}), steps=[step])

    first, second = batch.rows.order_by("number").values_list("worst_usd", flat=True)
    assert first > 0 == second


def test_steps_that_make_no_sense_are_told_all_at_once(acme: Cast) -> None:
    words, rated = version("{a} and {b}"), version("Rate {a}.", schema=SCHEMA)
    column = {"column": "name"}

    assert refusals(
        acme,
        PlannedStep(rated, {"a": column}, tier="best", condition={"column": "name", "is": "above", "value": "x"}),
        PlannedStep(words, {"a": {"column": "gone"}, "c": column}),
        PlannedStep(words, {"a": {"step": 3}, "b": {"step": 1, "field": "size"}}, condition={"step": 2, "is": "like"}),
        PlannedStep(words, {"a": {}, "b": column}, condition={"text": "x", "is": "empty"}),
    ) == [
        "Step 1: its condition compares with 'x', which is no number. Write one such as 100.",
        "Step 1: 'best' is no tier. Choose one of cheap, standard, strong.",
        "Step 2: the variable {b} gets nothing. Choose a column, an earlier answer or a text for it.",
        "Step 2: {c} is no variable of this prompt. Leave it out.",
        "Step 2: {a} comes from the column “gone”, which the file doesn’t have. Choose another.",
        "Step 3: {a} comes from step 3, which isn’t before this one. Choose an earlier step.",
        "Step 3: {b} comes from 'size' of step 1, whose answers have no such field. Choose another.",
        f"Step 3: its condition has the test 'like'. Choose one of {', '.join(TESTS)}.",
        "Step 4: {a} comes from nowhere. Choose a column, an earlier answer or a text.",
        "Step 4: its condition comes from nowhere. Choose a column, an earlier answer or a text.",
    ]
    with pytest.raises(Refused, match="at least one step"):
        plan(create("x", sheet=numbered(1), user=acme.alice), [])


def test_another_workspace_s_prompt_is_none(acme: Cast) -> None:
    with tenant_context(acme.globex):
        theirs = version("Secret {name}.")

    with pytest.raises(Refused, match="There is no such prompt"):
        draft(acme.alice, steps=[PlannedStep(theirs, {"name": {"column": "name"}})])


@pytest.mark.parametrize(
    ("test", "value", "held"),
    [
        ("equals", "BLUE ", ["Blue"]),
        ("not_equals", "blue", ["", "12", "-3.5", "n/a"]),
        ("contains", "lu", ["Blue"]),
        ("empty", "", [""]),
        ("not_empty", "", ["Blue", "12", "-3.5", "n/a"]),
        ("above", "-4", ["12", "-3.5"]),
        ("below", "12", ["-3.5"]),
    ],
)
def test_conditions(test: str, value: str, held: list[str]) -> None:
    cells = ["Blue", "", "12", "-3.5", "n/a"]
    condition = {"column": "x", "is": test, "value": value}

    assert [cell for cell in cells if holds(condition, row={"x": cell}, answers={})] == held


def test_what_a_batch_could_cost_bounds_what_is_reserved_and_what_it_costs(acme: Cast, stub: RowStub) -> None:
    steps = [
        PlannedStep(version("Rate {name} twice: {name}", schema=SCHEMA), {"name": {"column": "name"}}, tier="cheap"),
        PlannedStep(version("Then {it}"), {"it": {"step": 1, "field": ""}}),
    ]
    stub.answering = lambda words, nth: says('{"kind": "good", "score": 1}' if words.startswith("Rate") else "ok")
    batch = draft(acme.alice, 5, steps=steps)
    before = estimate(batch)

    start(batch)
    work_off(batch)

    assert batch.status == "done"
    assert before.worst_usd == batch.worst_usd == sum(batch.rows.values_list("worst_usd", flat=True))
    assert [each.position for each in before.steps] == [1, 2]
    assert before.worst_usd == sum(each.worst_usd for each in before.steps)
    for position, each in enumerate(before.steps, start=1):
        runs = Run.objects.filter(pk__in=BatchResult.objects.filter(step__position=position).values("run"))
        reserved = sum(runs.values_list("reserved_usd", flat=True))
        cost = sum(runs.values_list("cost_usd", flat=True))
        assert 0 < cost < reserved <= each.worst_usd
    assert before.typical_usd < before.worst_usd
    # The first step's call alone is bounded exactly as the ledger bounds it; the rest of its bound is a repair.
    after = estimate(batch)
    assert (after.rows, after.worst_usd) == (0, Decimal(0))


def test_one_prompt_s_bound_is_the_ledger_s_own(acme: Cast, stub: RowStub) -> None:
    batch = draft(acme.alice, 3, steps=[PlannedStep(echo().version, {"name": {"column": "name"}}, tier="standard")])

    start(batch)
    work_off(batch)

    reserved = Run.objects.order_by("created_at").values_list("reserved_usd", flat=True)
    assert sorted(reserved) == sorted(batch.rows.values_list("worst_usd", flat=True))


def test_a_cascade_s_three_calls_are_in_the_bound(acme: Cast, stub: RowStub) -> None:
    Policy.objects.create(routing="cascade")
    plain = draft(acme.alice, 1).worst_usd
    assert plain > 0 and math.isfinite(plain)  # one model alone: nothing to hand on to


def test_without_a_price_there_is_no_bound_and_no_batch(acme: Cast, settings: Any) -> None:
    settings.OPENAI_MODEL = "nobody-knows-this-one"

    with pytest.raises(Unpriced):
        draft(acme.alice)
    assert not Batch.objects.exists() and not ProviderKey.objects.exists()


def test_a_draft_is_planned_anew_as_often_as_one_likes(acme: Cast) -> None:
    batch = draft(acme.alice, 2)
    other = version("Tell {name} about {thing}.")

    plan(batch, [PlannedStep(other, {"name": {"column": "name"}, "thing": {"text": "rain"}}, label=" Tell  them ")])

    step = BatchStep.objects.get()
    assert (step.prompt_version, step.label, str(step)) == (other, "Tell them", "Tell them")
    assert estimate(batch).worst_usd == batch.worst_usd


def test_a_version_that_a_batch_uses_is_kept(acme: Cast) -> None:
    batch = draft(acme.alice, 1)

    with pytest.raises(publish.Refused, match="so it is kept"):
        publish.discard(batch.steps.get().prompt_version)
    assert batch.steps.exists()


def test_columns_are_found_by_the_variables_names(acme: Cast) -> None:
    two = version("{first_name} {size}")

    assert suggested(two, ["Size", "First name", "Other"]) == {
        "first_name": {"column": "First name"},
        "size": {"column": "Size"},
    }
    assert suggested(two, ["Other"]) == {}
    assert suggested(version("{question}"), ["Text"]) == {"question": {"column": "Text"}}
