"""Batches to try: a provider that answers each row by what it is asked, and drafts made of a few words."""

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from django.core.files.base import ContentFile

from apps.prompts.models import PromptVersion
from apps.runs.batches.create import PlannedStep, create
from apps.runs.batches.read import read_rows
from apps.runs.batches.work import work
from apps.runs.models import Batch, BatchResult, Run
from apps.tenants.context import require_tenant_id
from apps.tenants.models import User
from tests.gateway.stub import Finish, Refuse, Say, Step, Stub

MODEL = "gpt-5-mini"
BUSY = Refuse(503, "server_error")
SCHEMA = {"type": "object", "properties": {"kind": {"enum": ["good", "bad"]}, "score": {"type": "integer"}}}
VALID = json.dumps({"kind": "good", "score": 7})

Answering = Callable[[str, int], tuple[Step, ...]]


class RowStub(Stub):
    """`answering(words, nth)` says how the nth request with the same words is answered; by default "re: <words>"."""

    def forget(self) -> None:
        super().forget()
        self.asked: Counter[str] = Counter()
        self.answering: Answering = lambda words, nth: says(f"re: {words}")

    def script_for(self, body: dict[str, Any]) -> tuple[Step, ...]:
        words = body["messages"][-1]["content"]
        self.asked[words] += 1
        return self.answering(words, self.asked[words])


def says(text: str) -> tuple[Step, ...]:
    return Say(text), Finish()


def version(body: str, *, schema: Any = None, tier: str = "", tokens: int = 50, **kinds: str) -> PromptVersion:
    """A version of the active workspace's own, with the variables that its words name."""
    prompt = PromptVersion.objects.live("answer").prompt
    names = dict.fromkeys(re.findall(r"\{(\w+)\}", body))
    return PromptVersion.objects.create(
        tenant_id=require_tenant_id(),
        prompt=prompt,
        number=PromptVersion.objects.filter(tenant_id=require_tenant_id()).count() + 1,
        body=body,
        variables=[{"name": name, "type": kinds.get(name, "text")} for name in names],
        output_schema=schema,
        tier=tier,
        max_output_tokens=tokens,
        checksum=body[:64],
    )


def csv_of(*rows: dict[str, str]) -> Any:
    columns = list(rows[0])
    lines = [columns, *([row[name] for name in columns] for row in rows)]
    text = "\n".join(",".join('"' + cell.replace('"', '""') + '"' for cell in line) for line in lines)
    return read_rows(ContentFile(text.encode(), name="rows.csv"), "rows.csv")


def numbered(count: int) -> Any:
    return csv_of(*({"name": f"n{number}"} for number in range(1, count + 1)))


def echo() -> PlannedStep:
    return PlannedStep(version("Say {name}."), {"name": {"column": "name"}})


def draft(user: User, count: int = 3, *, steps: list[PlannedStep] | None = None, sheet: Any = None) -> Batch:
    return create("Words", sheet=sheet or numbered(count), user=user, steps=steps or [echo()], source_name="rows.csv")


def work_off(batch: Batch, *, slices: int = 30) -> Batch:
    """As workers do that take the batch's slices from the queue, one after the other."""
    for _ in range(slices):
        work(batch.pk)
        batch.refresh_from_db()
        if batch.status != Batch.Status.RUNNING:
            break
    return batch


def answers(batch: Batch) -> dict[int, list[str]]:
    """What stands for each row, in the order of its steps."""
    found: dict[int, list[str]] = {}
    results = BatchResult.objects.filter(row__batch=batch).order_by("row__number", "step__position")
    for number, text in results.values_list("row__number", "text"):
        found.setdefault(number, []).append(text)
    return found


def statuses(batch: Batch) -> Counter[str]:
    return Counter(batch.rows.values_list("status", flat=True))


def runs(batch: Batch) -> Counter[str]:
    return Counter(Run.objects.filter(batch=batch).values_list("status", flat=True))
