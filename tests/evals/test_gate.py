"""Floors and the paired bootstrap: what the gate lets in, what it refuses, and for which changes suites are run."""

import pytest

from evals import baseline, floors, gate
from evals.bad import Bad
from evals.intervals import of_change, of_mean
from evals.suite import read_all
from evals.touched import is_touched

from .made import entries, result, suite


def refused(before: list[float], now: list[float], *, slack: float = gate.SLACK, floor: float = 0) -> bool:
    (outcome,) = gate.outcomes([result(now, floors={"correct": floor})], entries(result(before)), slack=slack)
    return outcome.is_refused


@pytest.mark.parametrize(
    ("before", "now", "is_refused"),
    [
        ([1.0] * 30, [1.0] * 30, False),
        ([1.0] * 30, [0.0] + [1.0] * 29, False),  # one test of thirty may be luck
        ([1.0] * 30, [0.0] * 6 + [1.0] * 24, True),  # six aren't
        ([1.0] * 15 + [0.0] * 15, [0.0] * 15 + [1.0] * 15, False),  # as many better as worse
        ([0.8] * 30, [0.75] * 30, True),  # a little, everywhere
        ([0.8] * 30, [0.79] * 30, False),  # less than the slack, everywhere
        ([0.2] * 30, [0.9] * 30, False),
    ],
)
def test_the_gate_refuses_what_chance_and_slack_do_not_explain(
    before: list[float], now: list[float], is_refused: bool
) -> None:
    assert refused(before, now) == is_refused


def test_the_slack_is_what_one_says_and_a_floor_needs_no_baseline() -> None:
    worse = [0.8] * 30, [0.75] * 30

    assert (refused(*worse, slack=0.1), refused([0.8] * 30, [0.79] * 30, slack=0)) == (False, True)
    assert refused([0.5] * 30, [0.5] * 30, floor=0.6)
    (outcome,) = gate.outcomes([result([1.0, 0.0], floors={"correct": 0.9})])
    assert outcome.reason == "Correct is 50.0%, below its floor of 90%"


def test_a_refusal_says_from_what_to_what_and_by_how_much_at_least() -> None:
    now = result([0.0] * 30, floors={"correct": 0.5})

    (outcome,) = gate.outcomes([now], entries(result([1.0] * 30)))

    assert outcome.reason == (
        "Correct fell from 100.0% to 0.0%, with 95 % confidence by at least 100.0 points where 2 are allowed, "
        "and is below its floor of 50%"
    )
    assert gate.worse_tests(now, entries(result([1.0] * 30))["made"])[0] == ("acme: Question 0?", "correct", 1, 0)


def test_the_same_measurements_get_the_same_interval_every_time() -> None:
    scores = [0.0, 0.3, 1.0, 1.0, 0.9, 0.2, 1.0]

    assert of_mean(scores, name="a") == of_mean(scores, name="a")
    assert of_change([1.0, 0.5], [0.5, 0.0], name="a").high == -0.5


def test_what_depends_on_the_machine_or_a_judge_is_not_compared() -> None:
    fast, slow = result([1.0] * 30, metric="latency"), result([0.0] * 30, metric="latency")

    assert baseline.entry_of(fast).scores("latency") == {}
    assert not any(outcome.is_refused for outcome in gate.outcomes([slow], entries(fast)))


def test_a_baseline_that_measured_other_tests_is_an_error() -> None:
    with pytest.raises(Bad, match="is of other tests than now"):
        gate.outcomes([result([1.0] * 3)], entries(result([1.0] * 2)))


def test_what_is_not_measured_any_more_is_an_error_and_passes_nothing() -> None:
    with pytest.raises(Bad, match="correct of 'made' isn’t measured any more"):
        gate.outcomes([result([1.0] * 3, metric="cited")], entries(result([1.0] * 3)))


def test_what_a_change_takes_from_the_gate_is_named() -> None:
    before = entries(result([1.0] * 4)) | {"other": entries(result([1.0] * 2))["made"]}

    assert baseline.differences(before, entries(result([1.0, 1.0, 0.5], metric="cited"))) == [
        "The suite other is gone, with 2 tests.",
        "Of made, 1 of 4 tests are gone, such as 'acme: Question 3?'.",
        "Its correct of made is gone; it was 100.0%.",
    ]
    now = suite(1, floors={"correct": 0.5, "refused": 0.9})
    then = floors.floors_in("floors: {correct: 0.9, cited: 0.8, refused: 0.9}")
    assert floors.differences(then, now) == [
        "The floor of correct of made goes from 90% to 50%.",
        "The floor of cited of made goes from 80% to 0%.",
    ]
    assert [floors.floors_in(text) for text in ("floors: [1]", "tests: []", ": [", "1")] == [{}] * 4


def test_the_baseline_keeps_what_it_is_told_and_forgets_suites_that_are_gone(tmp_path) -> None:
    path = tmp_path / "baseline.json"
    now = result([1.0, 0.123456])

    kept = baseline.merged({"gone": entries(now)["made"]}, [now], suites=[now.suite])
    baseline.write(kept, path)

    (entry,) = baseline.read(path).values()
    assert (entry.provider, entry.checksum) == ("offline", "0123")
    assert entry.tests == {"acme: Question 0?": {"correct": 1.0}, "acme: Question 1?": {"correct": 0.1235}}
    with pytest.raises(Bad, match="there is no suite 'made'"):
        baseline.require_no_strangers(baseline.read(path), [], path=path)


@pytest.mark.parametrize(
    ("file", "touches"),
    [
        ("apps/prompts/catalog/answer.md", {"answer", "judge"}),
        ("apps/prompts/catalog/judge.md", {"judge"}),
        ("apps/prompts/catalog/route.md", {"route"}),
        ("apps/chat/seed/acme/people-handbook.md", {"answer", "judge", "route"}),
        ("apps/chat/context.py", {"answer", "judge"}),
        ("apps/knowledge/formats/pdf.py", {"answer", "judge"}),
        ("apps/runs/gateway/client.py", {"answer", "judge", "route"}),
        ("evals/scoring.py", {"answer", "judge", "route"}),
        ("evals/baseline.json", {"answer", "judge", "route"}),
        ("templates/base.html", set()),
        ("apps/tenants/views.py", set()),
        ("tests/evals/test_gate.py", set()),
        ("docs/evals.md", set()),
    ],
)
def test_a_change_touches_the_suites_that_it_can_make_worse(file: str, touches: set[str]) -> None:
    suites = [suite(2, name=prompt, prompt=prompt) for prompt in ("answer", "judge", "route")]

    assert {each.name for each in suites if is_touched(each, [file])} == touches


def test_a_suites_own_file_touches_it_alone() -> None:
    suites = read_all()

    for each in suites:
        assert [other.name for other in suites if is_touched(other, [f"evals/suites/{each.name}.yaml"])] == [each.name]
