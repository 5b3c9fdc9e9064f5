"""A sheet and steps become a draft, with what it would cost and what its first rows would say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from apps.prompts.models import PromptVersion
from apps.tenants.models import User

from ..models import Batch, BatchRow
from .read import Sheet


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step that somebody chose: see `BatchStep` for what mapping and condition hold."""

    version: PromptVersion
    mapping: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    condition: Mapping[str, Any] | None = None
    label: str = ""
    tier: str = ""


@dataclass(frozen=True, slots=True)
class StepEstimate:
    position: int
    label: str
    worst_usd: Decimal
    typical_usd: Decimal


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the rows that are left would cost: at most, by the bound that the ledger reserves, and probably."""

    rows: int
    worst_usd: Decimal
    typical_usd: Decimal
    steps: tuple[StepEstimate, ...] = ()


def create(
    name: str,
    *,
    sheet: Sheet,
    user: User,
    source_name: str = "",
    mode: Batch.Mode = Batch.Mode.NOW,
    steps: Sequence[PlannedStep] = (),
) -> Batch:
    """A draft with all of the sheet's rows. Raises BadFile, and then nothing is stored; Refused for bad steps."""
    raise NotImplementedError


def plan(batch: Batch, steps: Sequence[PlannedStep]) -> Batch:
    """Give a draft its steps, in the place of those that it had. What its preview said is forgotten.

    Raises BadFile naming rows and columns whose values don't fit, Refused for steps that make no sense or a batch that
    is no draft.
    """
    raise NotImplementedError


def suggested(version: PromptVersion, columns: Sequence[str]) -> dict[str, dict[str, Any]]:
    """A mapping that is likely: each variable from the column of the same name, as far as there is one."""
    raise NotImplementedError


def estimate(batch: Batch) -> Estimate:
    """What the batch's open rows would cost. Raises Refusal where no model may be asked or none has a price."""
    raise NotImplementedError


async def preview(batch: Batch, *, rows: int = 3) -> list[BatchRow]:
    """Answer the draft's first rows now, for good: they aren't asked again when the batch is started.

    Returns them with their `results`; one that failed says why and is tried again by the batch.
    """
    raise NotImplementedError
