"""What a test may ask of its output. Each assert scores it from 0 to 1, and feeds one metric.

    contains icontains not-contains not-icontains equals regex not-regex similar python    correct
    cites not-cites                                                                        cited
    refuses not-refuses                                                                    refused
    is-json schema                                                                         valid
    grounded citations                                                                     grounded, citation_precision
    latency (ms), cost (US dollars), tokens (of output)                                    latency, cost, cost
    judged (a rubric for a model)                                                          judged

An assert fails where nothing was produced.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import shapes
from .corpus import holds
from .nodes import Node
from .produced import Produced
from .values import anything, called, function, number, pattern, schema, text

if TYPE_CHECKING:
    from .suite import Test

SIMILAR_FROM = 0.75  # cosine
SUPPORTED_FROM = 0.8  # share of sentences or marks with which such an assert passes


@dataclass(frozen=True, slots=True)
class Check:
    """One assert of a test. It passes with a score of `threshold` or more."""

    type: str
    value: Any = None
    threshold: float = 1.0
    line: int = 0

    def said(self) -> list[Any]:
        return [self.type, self.value, self.threshold]

    def __str__(self) -> str:
        value = (
            "" if self.value is None else f" {self.value if isinstance(self.value, str) else json.dumps(self.value)}"
        )
        least = "" if self.threshold == 1 else f" (at least {self.threshold:g})"
        return f"{self.type}{value}{least}"


Score = Callable[[Check, Produced, "Test"], float]


@dataclass(frozen=True, slots=True)
class Kind:
    """`reads` takes the value from the suite, and raises Bad; None for an assert without one. `threshold` is what it
    has unless it names one, None if it can't."""

    metric: str
    score: Score
    reads: Callable[[Node], Any] | None
    threshold: float | None


KINDS: dict[str, Kind] = {}


def kind(
    name: str, *, metric: str, reads: Callable[[Node], Any] | None = None, threshold: float | None = None
) -> Callable[[Score], Score]:
    def register(score: Score) -> Score:
        KINDS[name] = Kind(metric, score, reads, threshold)
        return score

    return register


def read(node: Node) -> Check:
    """Raises Bad for an assert that isn't known, or doesn't say what it needs."""
    fields = node.fields(("type", "value", "threshold"), required=("type",))
    name = fields["type"].value()
    if name not in KINDS:
        raise fields["type"].bad(f"there is no assert {name!r}", f"There are: {', '.join(KINDS)}.")
    known = KINDS[name]
    if known.reads is None and "value" in fields:
        raise fields["value"].bad(f"{name} takes no value", "Leave `value` out.")
    if known.threshold is None and "threshold" in fields:
        raise fields["threshold"].bad(f"{name} takes no threshold", "Leave `threshold` out.")
    if known.reads and "value" not in fields:
        raise node.bad(f"{name} needs a value", "Add `value:` to it.")
    threshold = 1.0 if known.threshold is None else known.threshold
    if "threshold" in fields:
        threshold = fields["threshold"].number(most=1)
    return Check(name, known.reads(fields["value"]) if known.reads else None, threshold, node.line)


# --- What it says


def spaced(text: str) -> str:
    """On one line: where an answer breaks its lines says nothing."""
    return " ".join(text.split())


@kind("contains", metric="correct", reads=text)
def contains(check: Check, produced: Produced, test: "Test") -> float:
    return spaced(check.value) in spaced(produced.output)


@kind("icontains", metric="correct", reads=text)
def icontains(check: Check, produced: Produced, test: "Test") -> float:
    return holds(produced.output, check.value)


@kind("not-contains", metric="correct", reads=text)
def not_contains(check: Check, produced: Produced, test: "Test") -> float:
    return not contains(check, produced, test)


@kind("not-icontains", metric="correct", reads=text)
def not_icontains(check: Check, produced: Produced, test: "Test") -> float:
    return not icontains(check, produced, test)


@kind("equals", metric="correct", reads=anything)
def equals(check: Check, produced: Produced, test: "Test") -> float:
    if isinstance(check.value, str):
        return check.value in (produced.output.strip(), produced.value)
    return plain(produced) == check.value


@kind("regex", metric="correct", reads=pattern)
def regex(check: Check, produced: Produced, test: "Test") -> float:
    return re.search(check.value, produced.output) is not None


@kind("not-regex", metric="correct", reads=pattern)
def not_regex(check: Check, produced: Produced, test: "Test") -> float:
    return not regex(check, produced, test)


@kind("similar", metric="correct", reads=text, threshold=SIMILAR_FROM)
def similar(check: Check, produced: Produced, test: "Test") -> float:
    """Whether the local embedder finds the same meaning: 1 from the threshold on, else 0."""
    from apps.runs.chain import embedder

    said, wanted = embedder().embed([produced.output, check.value]).vectors
    return float(said @ wanted) >= check.threshold


@kind("python", metric="correct", reads=function)
def python(check: Check, produced: Produced, test: "Test") -> float:
    return min(1.0, max(0.0, float(called(check.value)(produced, test))))


# --- Its form


def plain(produced: Produced) -> Any:
    """The object that was produced: the driver's, else the output read as JSON. None if there is none."""
    value = produced.value
    if value is not None:
        return value.model_dump(mode="json") if hasattr(value, "model_dump") else value
    try:
        return json.loads(produced.output)
    except ValueError:
        return None


@kind("is-json", metric="valid")
def is_json(check: Check, produced: Produced, test: "Test") -> float:
    try:
        json.loads(produced.output)
    except ValueError:
        return False
    return True


@kind("schema", metric="valid", reads=schema)
def follows_schema(check: Check, produced: Produced, test: "Test") -> float:
    return (produced.value is not None or is_json(check, produced, test)) and shapes.fits(plain(produced), check.value)


# --- What it rests on


@kind("cites", metric="cited", reads=text)
def cites(check: Check, produced: Produced, test: "Test") -> float:
    return check.value in produced.files


@kind("not-cites", metric="cited", reads=text)
def not_cites(check: Check, produced: Produced, test: "Test") -> float:
    return check.value not in produced.files


@kind("refuses", metric="refused")
def refuses(check: Check, produced: Produced, test: "Test") -> float:
    from .scoring import is_refusal

    return is_refusal(produced.output, produced.cited, str(test.vars.get("question", "")), produced.passages)


@kind("not-refuses", metric="refused")
def not_refuses(check: Check, produced: Produced, test: "Test") -> float:
    return not refuses(check, produced, test)


@kind("grounded", metric="grounded", threshold=SUPPORTED_FROM)
def grounded(check: Check, produced: Produced, test: "Test") -> float:
    return scored(produced, test)["grounded"]


@kind("citations", metric="citation_precision", threshold=SUPPORTED_FROM)
def citations(check: Check, produced: Produced, test: "Test") -> float:
    return scored(produced, test)["citation_precision"]


def scored(produced: Produced, test: "Test") -> dict[str, float]:
    from .scoring import score_answer

    question = str(test.vars.get("question", ""))
    return score_answer(question, produced.output, produced.passages, produced.cited)


# --- What it took


@kind("latency", metric="latency", reads=number)
def latency(check: Check, produced: Produced, test: "Test") -> float:
    return produced.latency_ms <= check.value


@kind("cost", metric="cost", reads=number)
def cost(check: Check, produced: Produced, test: "Test") -> float:
    """At most that many US dollars. A run without a known price isn't cheap."""
    return (produced.run is None or produced.run.cost_usd is not None) and float(produced.cost_usd) <= check.value


@kind("tokens", metric="cost", reads=number)
def tokens(check: Check, produced: Produced, test: "Test") -> float:
    return produced.run is None or produced.run.output_tokens <= check.value


@kind("judged", metric="judged", reads=text, threshold=SUPPORTED_FROM)
def judged(check: Check, produced: Produced, test: "Test") -> float:
    raise NotImplementedError("a model scores it: evals.judge")


FOUND = ("contains", "icontains", "cites")  # what they want must be among the passages before it can be in an answer


def context(produced: Produced, test: "Test") -> float:
    """Whether the passages hold every text that the answer must, and come from every file that it must cite."""
    passages = "\n".join(f"{hit.title}\n{hit.heading}\n{hit.text}" for hit in produced.passages)
    wanted = [check for check in test.checks if check.type in FOUND]
    return float(
        all(
            check.value in produced.given_files if check.type == "cites" else holds(passages, check.value)
            for check in wanted
        )
    )
