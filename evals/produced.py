"""What a driver made of a test, for the asserts to look at."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apps.knowledge.search import Hit
    from apps.runs.models import Run


FEATURE = "eval"  # of every run that a test makes


@dataclass(slots=True)
class Produced:
    """`output` is what was said, `value` the object in it where there is one.

    `passages` are what the model was given, in the order of their numbers; `cited` those that the answer marks, by
    number. `files` are the names of the cited documents' files, `given_files` those of all the passages'. `error` says
    why there is no output: then every assert fails.
    """

    output: str = ""
    value: Any = None
    passages: list["Hit"] = field(default_factory=list)
    cited: dict[int, "Hit"] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)
    given_files: set[str] = field(default_factory=set)
    run: "Run | None" = None
    latency_ms: int = 0
    cost_usd: Decimal = Decimal(0)
    error: str = ""


def of_run(run: Any, **more: Any) -> Produced:
    """What a closed run says and took; `more` are further fields of Produced."""
    return Produced(
        output=run.text,
        value=run.value,
        run=run,
        latency_ms=run.latency_ms or 0,
        cost_usd=run.cost_usd or Decimal(0),
        error="" if run.status == run.Status.OK else f"{run.status}: {run.error_code or 'no reason given'}",
        **more,
    )
