"""A batch's steps as stones of a picture: what goes into each, when it is taken, what comes out, how far it is."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import Count

from apps.prompts.models import PromptVersion
from apps.tenants.models import Tier

from ..models import Batch, BatchResult, BatchStep
from .costs import StepEstimate
from .mapping import PlannedStep, Source, fields_of

PROSE = "answer"
TESTS = {
    "equals": "is",
    "not_equals": "is not",
    "contains": "contains",
    "above": "is above",
    "below": "is below",
    "not_empty": "is not empty",
    "empty": "is empty",
}


@dataclass(frozen=True, slots=True)
class Taken:
    """What one variable is filled with. `is_answer`: an earlier step said it."""

    variable: str
    source: str
    is_answer: bool = False


@dataclass(frozen=True, slots=True)
class Stone:
    """One step. `version` is None where no prompt is chosen yet; `counts` are its results by status."""

    position: int
    name: str
    version: PromptVersion | None
    tier: str = ""
    taken: tuple[Taken, ...] = ()
    only_if: str = ""
    gives: tuple[str, ...] = ()
    estimate: StepEstimate | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    rows: int = 0

    @property
    def left(self) -> int:
        return max(0, self.rows - sum(self.counts.values()))

    @property
    def ok(self) -> int:
        return self.counts.get(BatchResult.Status.OK, 0)

    @property
    def failed(self) -> int:
        return self.counts.get(BatchResult.Status.FAILED, 0)

    @property
    def skipped(self) -> int:
        return self.counts.get(BatchResult.Status.SKIPPED, 0)


def stones(
    steps: Sequence[PlannedStep | None],
    *,
    estimates: Iterable[StepEstimate] = (),
    counts: Mapping[int, Mapping[str, int]] | None = None,
    rows: int = 0,
) -> list[Stone]:
    """A stone for each step; None is one for which no prompt is chosen yet. `estimates` and `counts` by position."""
    costs = {each.position: each for each in estimates}
    return [
        Stone(
            position,
            step.label or step.version.prompt.name,
            step.version,
            Tier(step.tier).label if step.tier in Tier.values else "",
            tuple(taken(step)),
            condition(step.condition),
            tuple(fields_of(step.version)) or (PROSE,),
            costs.get(position),
            (counts or {}).get(position, {}),
            rows,
        )
        if step
        else Stone(position, "No prompt yet", None)
        for position, step in enumerate(steps, start=1)
    ]


def taken(step: PlannedStep) -> Iterator[Taken]:
    """In the order in which the prompt declares its variables."""
    for variable in step.version.declared:
        if source := step.mapping.get(variable.name):
            yield Taken(variable.name, said(source), "step" in source)


def planned(step: BatchStep) -> PlannedStep:
    """A step as it was planned."""
    return PlannedStep(step.prompt_version, step.mapping, step.condition, step.label, step.tier)


def said(source: Source) -> str:
    if "text" in source:
        return f"“{source['text']}”"
    if "column" in source:
        return str(source["column"])
    return f"{source.get('field') or PROSE} of step {source['step']}"


def condition(found: Mapping[str, Any] | None) -> str:
    """ "category of step 1 is billing"; nothing without one."""
    if not found:
        return ""
    return " ".join(filter(None, [said(found), TESTS.get(found.get("is", ""), ""), str(found.get("value", ""))]))


def counts_of(batch: Batch, steps: Iterable[BatchStep]) -> dict[int, Counter[str]]:
    """How many results of each status every step has, by its position. One query."""
    positions: dict[UUID, int] = {step.pk: step.position for step in steps}
    found: dict[int, Counter[str]] = {position: Counter() for position in positions.values()}
    grouped = BatchResult.objects.filter(step__in=positions).values_list("step", "status").annotate(Count("id"))
    for step_id, status, count in grouped:
        found[positions[step_id]][status] += count
    return found
