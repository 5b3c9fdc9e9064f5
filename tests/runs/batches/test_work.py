"""A batch's rows are answered, each once, and what stops them is said."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from apps.runs.batches import claims, control
from apps.runs.batches.create import PlannedStep, estimate, plan, preview
from apps.runs.batches.errors import Refused
from apps.runs.batches.progress import progress
from apps.runs.batches.unfinished import resume_paused
from apps.runs.models import Batch, BatchResult, BatchRow, Budget, Run, Spend
from apps.tenants import flags, suspend
from apps.tenants.models import AuditEvent, Tenant
from apps.tenants.threads import in_thread
from config.celery import HEADER
from tests.conftest import Cast
from tests.gateway.stub import Refuse
from tests.runs.budgeting import budget
from tests.runs.crowd import differences

from .rows import (
    BUSY,
    SCHEMA,
    VALID,
    RowStub,
    answers,
    csv_of,
    draft,
    echo,
    runs,
    says,
    statuses,
    version,
    work_off,
)

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "platform"])

WRONG = Refuse(400, "invalid_request_error")


def started(acme: Cast, *args: Any, **kwargs: Any) -> Batch:
    batch = draft(acme.alice, *args, **kwargs)
    control.start(batch)
    return batch


def deeds() -> list[str]:
    found = AuditEvent.objects.filter(action__startswith="batch.").order_by("at", "id")
    return [action.removeprefix("batch.") for action in found.values_list("action", flat=True)]


def test_every_row_is_asked_once(acme: Cast, stub: RowStub) -> None:
    batch = started(acme, 40)

    work_off(batch)

    assert batch.status == Batch.Status.DONE and batch.finished_at is not None
    assert answers(batch) == {number: [f"re: Say n{number}."] for number in range(1, 41)}
    assert runs(batch) == {"ok": 40} and set(stub.asked.values()) == {1}
    assert differences() == []
    spent = Spend.objects.get(scope="workspace").month_usd
    seen = progress(batch)
    assert (seen.total, seen.done, seen.left, seen.percent) == (40, 40, 0, 100)
    assert seen.spent_usd == spent > 0 and seen.reserved_usd == 0
    assert spent <= batch.worst_usd < batch.cap_usd
    assert deeds() == ["created", "started"]


def test_a_person_may_still_ask_while_a_batch_of_theirs_runs(acme: Cast, stub: RowStub) -> None:
    Tenant.objects.filter(pk=acme.acme.pk).update(requests_per_minute=2)

    batch = work_off(started(acme, 6))

    assert (batch.status, runs(batch)) == ("done", {"ok": 6})


def test_a_plan_without_requests_has_none_for_batches(acme: Cast, stub: RowStub) -> None:
    Tenant.objects.filter(pk=acme.acme.pk).update(requests_per_minute=0)

    batch = work_off(started(acme, 3))

    assert (batch.status, batch.pause_code, batch.resumes_at) == ("paused", "too_many_requests", None)
    assert (statuses(batch), not stub.asked) == ({"waiting": 3}, True)


def test_steps_hand_on_what_they_said(acme: Cast, stub: RowStub) -> None:
    classify = PlannedStep(version("Rate {text}.", schema=SCHEMA), {"text": {"column": "text"}}, label="Rate")
    praise = PlannedStep(
        version("Praise {kind} of {text} for {who}."),
        {"kind": {"step": 1, "field": "kind"}, "text": {"column": "text"}, "who": {"text": "Bob"}},
        condition={"step": 1, "field": "score", "is": "above", "value": "5"},
        tier="cheap",
    )
    end = PlannedStep(version("Sum up: {said}"), {"said": {"step": 2, "field": ""}}, label="End")
    low = VALID.replace("7", "3")
    stub.answering = lambda words, nth: says(
        (low if "dull" in words else VALID) if words.startswith("Rate") else f"re: {words}"
    )

    batch = work_off(
        started(acme, sheet=csv_of({"text": "a fine day"}, {"text": "a dull day"}), steps=[classify, praise, end])
    )

    assert batch.status == "done"
    assert answers(batch) == {
        1: [VALID, "re: Praise good of a fine day for Bob.", "re: Sum up: re: Praise good of a fine day for Bob."],
        2: [low, "", "re: Sum up: "],
    }
    results = BatchResult.objects.order_by("row__number", "step__position")
    assert list(results.values_list("status", flat=True)) == ["ok", "ok", "ok", "ok", "skipped", "ok"]
    assert results[0].value == {"kind": "good", "score": 7}
    assert results[1].run.tier == "cheap"


def test_a_malformed_answer_is_repaired_once(acme: Cast, stub: RowStub) -> None:
    step = PlannedStep(version("Rate {name}.", schema=SCHEMA), {"name": {"column": "name"}})
    stub.answering = lambda words, nth: says("seven" if words.startswith("Rate") else VALID)

    batch = work_off(started(acme, 1, steps=[step]))

    assert statuses(batch) == {"done": 1}
    assert BatchResult.objects.get().value == {"kind": "good", "score": 7}
    assert runs(batch) == {"failed": 1, "ok": 1}  # both are the batch's, and both count
    assert progress(batch).spent_usd == Spend.objects.get(scope="workspace").month_usd <= batch.worst_usd


def test_a_failed_row_keeps_its_reason_and_is_retried_from_there(acme: Cast, stub: RowStub) -> None:
    steps = [echo(), PlannedStep(version("Then {it}."), {"it": {"step": 1, "field": ""}})]
    broken = "Then re: Say n2.."
    stub.answering = lambda words, nth: (WRONG,) if (words, nth) == (broken, 1) else says(f"re: {words}")

    batch = work_off(started(acme, 3, steps=steps))

    assert (batch.status, statuses(batch)) == ("done", {"done": 2, "failed": 1})
    row = batch.rows.get(number=2)
    assert (row.error_code, row.error_message[:38]) == ("bad_request", "The model refused the request as we se")
    failed = row.results.get(status="failed")
    assert failed.run.status == "failed" and failed.step.position == 2

    assert control.retry_failed(batch) == 1
    work_off(batch)

    assert (batch.status, statuses(batch)) == ("done", {"done": 3})
    assert stub.asked["Say n2."] == 1 and stub.asked[broken] == 2
    assert answers(batch)[2] == ["re: Say n2.", f"re: {broken}"]
    assert deeds() == ["created", "started", "retried"]
    with pytest.raises(Refused, match="No row of this batch has failed"):
        control.retry_failed(batch)


def test_a_provider_that_stumbles_costs_no_row(acme: Cast, stub: RowStub) -> None:
    stub.answering = lambda words, nth: (BUSY,) if nth == 1 and words.endswith("2.") else says("ok")

    batch = work_off(started(acme, 12))

    assert statuses(batch) == {"done": 12} and stub.asked["Say n2."] == 2


def test_a_row_whose_provider_is_down_waits_for_a_moment(acme: Cast, stub: RowStub) -> None:
    stub.answering = lambda words, nth: (BUSY,) if nth < 3 and words == "Say n2." else says("ok")  # and its retry
    batch = started(acme, 12)

    work_off(batch, slices=1)

    assert (batch.status, statuses(batch)) == ("running", {"done": 11, "waiting": 1})
    waiting = batch.rows.get(status="waiting")
    assert waiting.claimed_until > timezone.now() and waiting.error_code == ""
    assert 0 < claims.waits_s(batch) <= 20

    BatchRow.objects.filter(status="waiting").update(claimed_until=timezone.now())  # as a moment later
    work_off(batch)
    assert (batch.status, statuses(batch)) == ("done", {"done": 12})


def test_failures_in_a_row_pause_the_batch(acme: Cast, stub: RowStub) -> None:
    stub.answering = lambda words, nth: (WRONG,)

    batch = work_off(started(acme, 60))

    assert (batch.status, batch.pause_code, batch.resumes_at) == ("paused", "bad_request", None)
    assert batch.pause_message.startswith("20 rows in a row failed for the same reason: The model refused the request")
    seen = statuses(batch)
    assert 20 <= seen["failed"] < 20 + claims.AT_ONCE and seen["waiting"] == 60 - seen["failed"]

    stub.answering = lambda words, nth: says("ok")
    control.retry_failed(batch)

    assert work_off(batch).status == "done" and statuses(batch) == {"done": 60}


def test_a_spent_budget_pauses_until_it_begins_anew(acme: Cast, stub: RowStub) -> None:
    cap = budget(estimate(draft(acme.alice, 8)).worst_usd / 2, period="day")

    batch = work_off(started(acme, 40))

    assert (batch.status, batch.pause_code) == ("paused", "budget_spent")
    assert batch.pause_message.startswith("The workspace has reached its daily budget of")
    tomorrow = (timezone.now() + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    assert batch.resumes_at == tomorrow
    seen = statuses(batch)
    assert seen["done"] == len(answers(batch)) > 0 and seen["done"] + seen["waiting"] == 40
    assert Spend.objects.get(scope="workspace").day_usd <= cap.cap_usd and differences() == []
    assert resume_paused() == 0  # not yet

    Batch.objects.filter(pk=batch.pk).update(resumes_at=timezone.now())  # as if tomorrow had come
    Budget.objects.update(cap_usd=5)
    assert resume_paused() == 1

    work_off(batch)
    assert (batch.status, batch.pause_code, batch.resumes_at) == ("done", "", None)
    assert answers(batch) == {number: [f"re: Say n{number}."] for number in range(1, 41)}
    assert set(stub.asked.values()) == {1}
    assert deeds()[-3:] == ["started", "paused", "resumed"]


def test_the_day_s_tokens_pause_it_too(acme: Cast, stub: RowStub) -> None:
    Tenant.objects.filter(pk=acme.acme.pk).update(tokens_per_day=300)

    batch = work_off(started(acme, 10))

    assert (batch.status, batch.pause_code) == ("paused", "too_many_tokens")
    assert batch.resumes_at is not None and statuses(batch)["failed"] == 0


def test_it_never_costs_more_than_was_agreed_to(acme: Cast, stub: RowStub) -> None:
    batch = draft(acme.alice, 30)
    row_usd = batch.worst_usd / 30
    control.start(batch, cap_usd=row_usd * 3)

    work_off(batch)

    assert (batch.status, batch.pause_code, batch.resumes_at) == ("paused", "cap_reached", None)
    assert progress(batch).spent_usd <= row_usd * 3 and 0 < statuses(batch)["done"] < 30

    control.resume(batch)
    assert batch.cap_usd > row_usd * 3
    assert work_off(batch).status == "done" and statuses(batch) == {"done": 30}


def test_pause_ends_what_is_under_way_and_begins_no_more(acme: Cast, stub: RowStub) -> None:
    batch = started(acme, 60)

    def answering(words: str, nth: int) -> Any:
        return says("ok")

    stub.answering = answering
    worker = uuid4()
    assert claims.take(batch.pk, worker) is not None
    held = claims.claim(batch, worker, most=4, held=[])
    control.pause(batch)

    assert claims.claim(batch, worker, most=4, held=[row.pk for row in held]) == []
    assert not claims.renew(batch, worker, [])
    with pytest.raises(Refused, match="This batch is paused"):
        control.pause(batch)
    claims.leave(batch, worker)
    work_off(batch)
    assert not stub.asked

    BatchRow.objects.filter(status="running").update(claimed_until=timezone.now())  # that worker is gone
    control.resume(batch)
    assert work_off(batch).status == "done" and statuses(batch) == {"done": 60}


def test_cancelled_rows_are_never_asked(acme: Cast, stub: RowStub) -> None:
    batch = started(acme, 10)
    worker = uuid4()
    claims.take(batch.pk, worker)
    claims.claim(batch, worker, most=2, held=[])

    control.cancel(batch)
    claims.leave(batch, worker)
    work_off(batch)

    assert (batch.status, statuses(batch), not stub.asked) == ("cancelled", {"cancelled": 8, "running": 2}, True)
    for again in (control.resume, control.cancel, control.retry_failed):
        with pytest.raises(Refused, match="This batch is cancelled"):
            again(batch)


def test_switched_off_it_pauses_and_on_again_it_goes_on(acme: Cast, stub: RowStub) -> None:
    batch = started(acme, 3)
    flags.switch([name for name in flags.FEATURES if name != "batch"])

    work_off(batch)
    assert (batch.status, batch.pause_code, not stub.asked) == ("paused", "switched_off", True)
    with pytest.raises(Refused, match="Batches is switched off"):
        control.resume(batch)
    with pytest.raises(Refused, match="Batches is switched off"):
        control.start(draft(acme.alice))

    flags.switch(list(flags.FEATURES))
    assert work_off(batch).status == "done"


def test_a_suspended_workspace_s_batch_does_nothing(acme: Cast, stub: RowStub) -> None:
    from apps.runs.tasks import work_batch
    from config.celery import TenantClosed

    batch = started(acme, 3)
    suspend.suspend(acme.acme)
    Batch.objects.update(worked_until=None)

    with pytest.raises(TenantClosed):
        work_batch.apply(args=[str(batch.pk)], headers={HEADER: str(acme.acme.pk)}, throw=True)
    assert resume_paused() == 0
    assert (statuses(batch), not stub.asked) == ({"waiting": 3}, True)

    suspend.resume(acme.acme)
    work_batch.apply(args=[str(batch.pk)], headers={HEADER: str(acme.acme.pk)}, throw=True)
    assert statuses(batch) == {"done": 3}


def test_one_worker_at_a_time_and_two_results_of_a_row_never(acme: Cast, stub: RowStub) -> None:
    batch = started(acme, 2)
    slow, quick = uuid4(), uuid4()
    assert claims.take(batch.pk, slow) is not None and claims.take(batch.pk, quick) is None
    (row, *_) = claims.claim(batch, slow, most=2, held=[])

    # The slow one is silent for longer than its lease, and another takes over.
    Batch.objects.update(worked_until=timezone.now() - timedelta(seconds=1))
    BatchRow.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    work_off(batch)
    assert batch.status == "done"

    from apps.runs.batches.answer import kept

    late = BatchResult(row=row, step=batch.steps.get(), status="ok", text="too late")
    with pytest.raises(claims.Superseded):
        kept(row, late)
    assert answers(batch) == {1: ["re: Say n1."], 2: ["re: Say n2."]}
    assert not claims.renew(batch, slow, [row.pk])


def test_a_row_that_kills_its_worker_again_and_again_is_given_up(acme: Cast, stub: RowStub) -> None:
    batch = started(acme, 2)
    BatchRow.objects.filter(number=1).update(
        attempts=claims.MOST_ATTEMPTS, status="running", claimed_until=timezone.now()
    )

    work_off(batch)

    assert (batch.status, statuses(batch)) == ("done", {"done": 1, "failed": 1})
    assert batch.rows.get(number=1).error_code == "lost"


async def test_a_preview_s_rows_are_not_asked_again(acme: Cast, stub: RowStub) -> None:
    batch = await in_thread(draft, acme.alice, 5)

    rows = await preview(batch)

    assert [[result.text for result in row.results.all()] for row in rows] == [
        [f"re: Say n{number}."] for number in (1, 2, 3)
    ]
    left = await in_thread(estimate, batch)
    assert left.rows == 2 and Decimal(0) < left.typical_usd < left.worst_usd
    assert left.typical_usd / 2 == (await in_thread(lambda: Run.objects.first())).cost_usd  # what it has cost

    await in_thread(control.start, batch)
    await in_thread(work_off, batch)
    assert batch.status == "done" and set(stub.asked.values()) == {1} and len(stub.asked) == 5
    with pytest.raises(Refused, match="has been started already"):
        await preview(batch)
    with pytest.raises(Refused, match="has been started already"):
        await in_thread(plan, batch, [])
