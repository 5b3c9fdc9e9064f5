"""What each assert takes for good, and what it doesn't."""

from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from pydantic import BaseModel

from apps.knowledge.search import Hit
from evals import asserts
from evals.nodes import Node
from evals.produced import Produced
from evals.run import scored
from evals.suite import Test


class Tier(BaseModel):
    tier: str


HIT = Hit(uuid4(), uuid4(), "Handbook", "Leave", None, "Everybody gets 28\ndays of leave.", 0, 9, 1, 1, 1)
ANSWER = Produced(
    output="You get 28 days\nof leave [1].",
    passages=[HIT],
    cited={1: HIT},
    files={"handbook.md"},
    given_files={"handbook.md", "other.md"},
    latency_ms=40,
    cost_usd=Decimal("0.01"),
)
OBJECT = Produced(output='{"tier": "cheap", "sure": 0.5, "why": ["short"]}')
VALUE = Produced(output="```json\n{}\n```", value=Tier(tier="strong"))
REFUSAL = Produced(output="The documents don't mention that.")
SCHEMA = {
    "type": "object",
    "required": ["tier"],
    "additionalProperties": False,
    "properties": {
        "tier": {"enum": ["cheap", "strong"]},
        "sure": {"type": "number", "maximum": 1},
        "why": {"type": "array", "items": {"type": "string", "minLength": 2}, "minItems": 1},
    },
}


def score(produced: Produced, check: dict[str, Any]) -> float:
    node = Node(Path("suite.yaml"), yaml.compose(yaml.safe_dump(check)))
    test = Test(
        Path("suite.yaml"), 1, "route", "acme", "A test", {"question": "How much leave?"}, (asserts.read(node),)
    )
    (verdict,) = scored(test, produced).verdicts
    assert verdict.passed == (verdict.score >= (1 if check["type"] == "similar" else test.checks[0].threshold))
    return verdict.score


@pytest.mark.parametrize(
    ("produced", "check", "wanted"),
    [
        (ANSWER, {"type": "contains", "value": "28 days of leave"}, 1),
        (ANSWER, {"type": "contains", "value": "28 Days"}, 0),
        (ANSWER, {"type": "icontains", "value": "28 Days of"}, 1),
        (ANSWER, {"type": "not-contains", "value": "25 days"}, 1),
        (ANSWER, {"type": "not-icontains", "value": "28 DAYS"}, 0),
        (ANSWER, {"type": "regex", "value": r"\b2\d days"}, 1),
        (ANSWER, {"type": "not-regex", "value": r"\b2\d days"}, 0),
        (ANSWER, {"type": "equals", "value": "You get 28 days\nof leave [1]."}, 1),
        (ANSWER, {"type": "similar", "value": "Leave is 28 days."}, 1),
        (ANSWER, {"type": "similar", "value": "The boiler broke in winter."}, 0),
        (ANSWER, {"type": "cites", "value": "handbook.md"}, 1),
        (ANSWER, {"type": "not-cites", "value": "other.md"}, 1),
        (Produced(value={"score": 0.9}), {"type": "python", "value": "ratings:sure"}, 1),
        (Produced(value={"score": 0.1}), {"type": "python", "value": "ratings:sure"}, 0),
        (Produced(output="no object"), {"type": "python", "value": "ratings:sure"}, 0),
        (ANSWER, {"type": "refuses"}, 0),
        (ANSWER, {"type": "not-refuses"}, 1),
        (ANSWER, {"type": "grounded"}, 1),
        (ANSWER, {"type": "citations"}, 1),
        (ANSWER, {"type": "latency", "value": 40}, 1),
        (ANSWER, {"type": "latency", "value": 39}, 0),
        (ANSWER, {"type": "cost", "value": 0.005}, 0),
        (ANSWER, {"type": "is-json"}, 0),
        (ANSWER, {"type": "schema", "value": SCHEMA}, 0),
        (REFUSAL, {"type": "refuses"}, 1),
        (OBJECT, {"type": "is-json"}, 1),
        (OBJECT, {"type": "equals", "value": {"tier": "cheap", "sure": 0.5, "why": ["short"]}}, 1),
        (OBJECT, {"type": "schema", "value": SCHEMA}, 1),
        (Produced(output='{"tier": "dear"}'), {"type": "schema", "value": SCHEMA}, 0),
        (Produced(output='{"sure": 1}'), {"type": "schema", "value": SCHEMA}, 0),
        (Produced(output='{"tier": "cheap", "sure": 2}'), {"type": "schema", "value": SCHEMA}, 0),
        (Produced(output='{"tier": "cheap", "why": []}'), {"type": "schema", "value": SCHEMA}, 0),
        (Produced(output='{"tier": "cheap", "why": ["a"]}'), {"type": "schema", "value": SCHEMA}, 0),
        (Produced(output='{"tier": "cheap", "else": 1}'), {"type": "schema", "value": SCHEMA}, 0),
        (VALUE, {"type": "equals", "value": {"tier": "strong"}}, 1),
        (VALUE, {"type": "schema", "value": SCHEMA}, 1),
        (Produced(output="28 days", error="failed: timeout"), {"type": "contains", "value": "28 days"}, 0),
    ],
)
def test_an_assert_scores_what_was_produced(produced: Produced, check: dict[str, Any], wanted: float) -> None:
    assert score(produced, check) == wanted


def test_search_is_scored_apart_from_what_was_made_of_it() -> None:
    """The passage holds the answer and the output doesn't; then the other way round."""

    def scores(text: str, given: list[Hit]) -> dict[str, float]:
        check = asserts.Check("icontains", "28 days")
        test = Test(Path("suite.yaml"), 1, "answer", "acme", "A test", {"question": "How much leave?"}, (check,))
        found = Produced(output=text, passages=given, cited=dict(enumerate(given, 1)))
        return {name: scored(test, found).scores[name] for name in ("context", "correct")}

    assert scores("It says nothing of use [1].", [HIT]) == {"context": 1, "correct": 0}
    assert scores("You get 28 days.", []) == {"context": 0, "correct": 1}
