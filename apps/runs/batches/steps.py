"""What a row is asked next, where its steps are taken one at a time: in files, of which each holds one step."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..gateway.types import Request
from ..guarding import cleaned
from ..models import BatchResult, BatchRow, BatchStep
from ..prompted import request_of
from .answer import end, kept
from .mapping import holds, value_of


@dataclass(frozen=True, slots=True)
class Next:
    """`step` is None when the row has taken all that are meant for it. `answers` are what was said, by position."""

    step: BatchStep | None
    answers: dict[int, BatchResult] = field(default_factory=dict)


def next_of(row: BatchRow, steps: Sequence[BatchStep]) -> Next:
    """By `row.said`. Steps before it that aren't for this row are written as skipped. Raises Superseded."""
    taken = {result.step_id: result for result in row.said}  # type: ignore[attr-defined]
    answers: dict[int, BatchResult] = {}
    for step in steps:
        if result := taken.get(step.pk):
            answers[step.position] = result
        elif holds(step.condition, row=row.input, answers=answers):
            return Next(step, answers)
        else:
            answers[step.position] = kept(row, BatchResult(row=row, step=step, status=BatchResult.Status.SKIPPED))
    return Next(None, answers)


def finished(row: BatchRow, taken: Next) -> None:
    """End a claimed row that has nothing left to take."""
    is_skipped = all(result.status == BatchResult.Status.SKIPPED for result in taken.answers.values())
    end(row, BatchRow.Status.SKIPPED if is_skipped else BatchRow.Status.DONE)


def request_for(row: BatchRow, step: BatchStep, answers: dict[int, BatchResult]) -> Request:
    """What the row is sent for the step, always the same. Raises BadPrompt."""
    values = {name: value_of(source, row=row.input, answers=answers) for name, source in step.mapping.items()}
    return cleaned(request_of(step.prompt_version, values))
