"""What may be spent, what is reserved and what was spent, with the run that it is for: one statement each.

    begin(run, ...)   reserve over every budget that holds for the run and write it, or refuse it
    extend(run, ...)  reserve more for one that goes on
    close(run)        give back what was reserved and count what it cost; a second time changes nothing
    close_lost(run)   the same for a run whose process died, at all that it had reserved

A hard budget is never exceeded: a run is written only if everything spent and reserved, its own bound included, fits.
The functions themselves, and in which order they lock, are in the migration `0006_ledger`.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, models
from django.db.models.expressions import DatabaseDefault

from . import refusals
from .models import Run
from .refusals import Refusal

# What is known of a run only when it is over.
CLOSING = (
    *("status", "error_code", "provider_answered", "model_answered", "request_id", "payer", "provider_key_id"),
    *("input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens", "is_estimated"),
    *("cost_usd", "latency_ms", "ttft_ms", "is_cached", "cached_from_id", "saved_usd", "attempts", "flags"),
)


class Stale(Exception):
    """Something that decides how models are called has changed since the caller read it."""


@dataclass(frozen=True, slots=True)
class Admission:
    """How a run began, or was refused: as the cheaper call or not, and the ids of the alerts that it gave rise to."""

    is_cheap: bool
    alerts: tuple[UUID, ...]


def begin(
    run: Run, *, revision: tuple[int, int], cheap: dict[str, Any] | None = None, refusal: Refusal | None = None
) -> Admission:
    """Write `run` with its `reserved_usd` and `reserved_tokens`, or as refused; the instance is as the row then is.

    revision: everybody's and the tenant's, as the caller's configuration has them. Raises Stale if they are older.
    cheap: columns of the cheaper call that a soft budget makes of it, its reservation among them.
    refusal: why the caller itself refuses the run, which is then written without any further question.
    """
    asked: dict[str, Any] = {"run": columns(run), "revision": revision}
    if cheap:
        asked["cheap"] = cheap
    if refusal:
        asked["refusal"] = refusal.as_json()
    answer = call("runs_begin(%s)", [to_json(asked)])
    if answer.get("stale"):
        raise Stale
    written = answer["run"]
    if is_cheap := written["is_cheap"]:
        for name, value in (cheap or {}).items():
            setattr(run, name, value)
    run.status, run.tier = written["status"], written["tier"]
    run.created_at = datetime.fromisoformat(written["created_at"])
    run._state.adding = False
    if refused := answer.get("refused"):
        run.error = refusal or refusals.read(refused)
        run.error_code, run.cost_usd = run.error.code, Decimal(0)
        run.reserved_usd, run.reserved_tokens = Decimal(0), 0
        run.finished_at = run.created_at
    return Admission(is_cheap, ids(answer["alerts"]))


def extend(run: Run, *, usd: Decimal, tokens: int) -> bool:
    """Reserve more for a run under way. Returns whether it may have it."""
    if granted := call("runs_extend(%s, %s, %s, %s)", [run.tenant_id, run.pk, usd, tokens]):
        run.reserved_usd += usd
        run.reserved_tokens += tokens
    return bool(granted)


def close(run: Run) -> tuple[UUID, ...]:
    """Write the end of `run` as the instance has it, and settle. Returns the ids of new alerts."""
    closing = to_json({name: getattr(run, name) for name in CLOSING})
    answer = call("runs_close(%s, %s, %s)", [run.tenant_id, run.pk, closing])
    if answer["closed"]:
        run.finished_at = datetime.fromisoformat(answer["finished_at"])
    return ids(answer["alerts"])


def close_lost(tenant_id: UUID, run_id: UUID) -> tuple[bool, tuple[UUID, ...]]:
    """Give a run up whose process died, at all that it had reserved. Returns whether it was open, and new alerts."""
    closing = to_json({"status": Run.Status.LOST, "error_code": "lost"})
    answer = call("runs_close(%s, %s, %s)", [tenant_id, run_id, closing])
    return answer["closed"], ids(answer["alerts"])


def call(function: str, parameters: list[Any]) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}", parameters)
        (answer,) = cursor.fetchone()
    return json.loads(answer) if isinstance(answer, str) else answer


def columns(row: models.Model) -> dict[str, Any]:
    """The row as the database will have it; what the database fills in is null."""
    values = {str(field.column): getattr(row, field.attname) for field in row._meta.concrete_fields}
    return {name: None if isinstance(value, DatabaseDefault) else value for name, value in values.items()}


def to_json(value: Any) -> str:
    return json.dumps(value, cls=DjangoJSONEncoder)


def ids(texts: Iterable[str]) -> tuple[UUID, ...]:
    return tuple(map(UUID, texts))
