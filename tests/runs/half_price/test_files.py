"""Batches within a day: half the price, every line settled once, whatever the provider or we do meanwhile."""

import json
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.runs.batches import control, half_price
from apps.runs.batches.create import PlannedStep
from apps.runs.batches.files import follow
from apps.runs.gateway.providers import anthropic, openai
from apps.runs.lost import close_lost
from apps.runs.models import BatchResult, BatchRow, ModelPrice, Policy, Processing, ProviderBatch, ProviderLine, Run
from apps.runs.refusals import NoHalfPrice
from apps.tenants import provider_keys
from apps.tenants.context import tenant_context
from apps.tenants.models import ProviderKey
from apps.tenants.vault import Secret
from tests.conftest import Cast
from tests.gateway.batch_stub import BatchStub, Breaks, Expires, Fails, Half, Raw, Says, Vanishes
from tests.gateway.stub import Refuse
from tests.runs.batches.rows import SCHEMA, VALID, answers, csv_of, runs, statuses, version
from tests.runs.budgeting import budget

from .half import (
    KEY,
    MODELS,
    check_ledger,
    cost_of_one,
    draft,
    ended,
    file_of,
    poll,
    send,
    started,
)

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "platform"])

at_openai = pytest.mark.parametrize("provider", ["openai"], indirect=True)
at_anthropic = pytest.mark.parametrize("provider", ["anthropic"], indirect=True)
SOON = timedelta(minutes=20)
LATE = timedelta(days=4)


def outcomes() -> Counter[str]:
    return Counter(ProviderLine.objects.values_list("outcome", flat=True))


def words(stub: BatchStub) -> list[list[str]]:
    """What the lines of each file say, in the order in which the files were made."""
    return [[prompt for _, prompt, _ in kept.lines] for kept in stub.kept.values()]


def test_a_file_is_sent_and_settled_at_half_the_price(acme: Cast, stub: BatchStub, provider: str) -> None:
    batch = started(acme, 5)

    file = file_of(batch)
    assert (batch.status, file.status, file.line_count, statuses(batch)) == ("running", "sent", 5, {"running": 5})
    assert words(stub) == [[f"Say n{n}." for n in range(1, 6)]]
    assert close_lost(timedelta(0)) == 0 and runs(batch) == {"running": 5}
    assert (check_ledger(is_open=True), poll(batch).status) == (0, "running")
    ended(batch, stub)

    file.refresh_from_db()
    assert (batch.status, file.status, file.succeeded) == ("done", "done", 5)
    assert answers(batch) == {n: [f"Said: Say n{n}."] for n in range(1, 6)}
    run = Run.objects.filter(batch=batch).first()
    assert (run.status, run.feature, run.user, run.model) == ("ok", "batch", acme.alice, MODELS[provider])
    assert (run.input_tokens, run.output_tokens, run.cached_tokens) == (120, 7, 100)
    assert run.cost_usd == cost_of_one(provider) <= run.reserved_usd
    assert abs(run.cost_usd * 2 - cost_of_one(provider, Processing.ONLINE)) <= Decimal("0.000002")
    assert check_ledger() == 5 * run.cost_usd
    assert sum(run.reserved_usd for run in Run.objects.all()) <= batch.worst_usd
    before = list(Run.objects.order_by("pk").values()), list(BatchResult.objects.order_by("pk").values())
    assert not follow(file.pk)
    send(batch)
    assert before == (list(Run.objects.order_by("pk").values()), list(BatchResult.objects.order_by("pk").values()))
    assert stub.asked.count("create") == 1


@at_openai
def test_another_workspace_can_do_nothing_about_it(acme: Cast, stub: BatchStub) -> None:
    batch = started(acme, 1)
    file = file_of(batch)
    stub.end()
    ProviderBatch.objects.update(due_at=timezone.now())

    with tenant_context(acme.globex):
        assert not follow(file.pk)
        assert not ProviderBatch.unscoped.exists() and not ProviderLine.unscoped.exists()

    assert (statuses(batch), stub.asked.count("content")) == ({"running": 1}, 0)


@at_anthropic
def test_steps_go_one_file_after_the_other(acme: Cast, stub: BatchStub) -> None:
    rate = PlannedStep(version("Rate {text}.", schema=SCHEMA), {"text": {"column": "text"}})
    praise = PlannedStep(
        version("Praise {kind} {text}."),
        {"kind": {"step": 1, "field": "kind"}, "text": {"column": "text"}},
        condition={"step": 1, "field": "score", "is": "above", "value": "5"},
    )
    stub.says("Rate", Says(VALID))
    stub.says("Rate a dull", Says(VALID.replace("7", "3")))
    sheet = csv_of({"text": "a fine day"}, {"text": "a dull day"}, {"text": "a warm day"})
    batch = started(acme, sheet=sheet, steps=[rate, praise])

    ended(batch, stub)

    assert (batch.status, statuses(batch)) == ("running", {"waiting": 2, "done": 1})
    send(batch)
    ended(batch, stub)
    assert (batch.status, statuses(batch)) == ("done", {"done": 3})
    assert words(stub)[1] == ["Praise good a fine day.", "Praise good a warm day."]
    assert answers(batch)[2] == [VALID.replace("7", "3"), ""]
    assert BatchResult.objects.get(step__position=1, row__number=1).value == json.loads(VALID)
    for kept in stub.kept.values():
        assert all(("kind" in json.dumps(body)) == ("Rate" in prompt) for _, prompt, body in kept.lines)
    check_ledger()


def test_each_line_ends_in_its_own_way(acme: Cast, stub: BatchStub, provider: str) -> None:
    stub.says("n2.", Fails(400, "invalid_request_error", f"no {KEY}"))
    stub.says("n3.", Expires())
    stub.says("n4.", Fails(500, "api_error"))
    stub.says("n5.", Says("", "content_filter"))
    stub.says("n6.", Vanishes())
    stub.says("n7.", Raw("{"))
    batch = draft(acme, 7)
    control.start(batch, cap_usd=Decimal(1))  # what is lost may cost more than was thought
    send(batch)
    stub.says("n1.", Says("Yes."))
    kept = next(iter(stub.kept.values()))
    kept.lines.append(("f" * 32, "Say nobody's.", kept.lines[0][2]))

    ended(batch, stub)

    codes = {"ok": 1, "bad_request": 1, "expired": 1, "unavailable": 1, "content_filtered": 1, "no_result": 2}
    assert outcomes() == codes
    assert statuses(batch) == {"done": 1, "failed": 2, "waiting": 4}
    file = file_of(batch)
    assert file.status == "expired"
    paid = cost_of_one(provider)
    filtered = Run.objects.get(error_code="content_filtered")
    assert (filtered.cost_usd, filtered.status) == (paid, "failed")
    lost = Run.objects.filter(status="lost")
    spent = check_ledger()
    assert spent == 2 * paid + sum(run.reserved_usd for run in lost)
    failed = BatchRow.objects.get(number=2)
    assert failed.error_code == "bad_request" and KEY not in failed.error_message
    for _ in range(2):
        send(batch)
        ended(batch, stub)
    assert (batch.status, statuses(batch)) == ("done", {"done": 1, "failed": 6})
    assert sorted(outcomes().items()) == sorted(
        {"ok": 1, "bad_request": 1, "expired": 3, "unavailable": 3, "content_filtered": 1, "no_result": 6}.items()
    )
    assert len(stub.kept) == 3
    check_ledger()


@at_openai
def test_a_line_that_was_paid_and_never_seen_counts_at_all_that_it_reserved(acme: Cast, stub: BatchStub) -> None:
    stub.says("n1.", Vanishes(is_counted=True))
    batch = started(acme, 1)

    ended(batch, stub)

    run = Run.objects.get()
    assert (run.status, run.cost_usd, statuses(batch)) == ("lost", run.reserved_usd, {"waiting": 1})
    check_ledger()


@at_openai
def test_a_malformed_answer_is_asked_for_once_more(acme: Cast, stub: BatchStub) -> None:
    step = PlannedStep(version("Rate {name}.", schema=SCHEMA), {"name": {"column": "name"}})
    stub.says("Rate", Says("seven"))
    batch = started(acme, 2, steps=[step])
    ended(batch, stub)
    assert (statuses(batch), runs(batch)) == ({"waiting": 2}, {"failed": 2})
    send(batch)
    stub.says("Rate n1", Says(VALID))

    ended(batch, stub)

    assert (batch.status, statuses(batch)) == ("done", {"done": 1, "failed": 1})
    assert BatchRow.objects.get(number=2).error_code == "malformed"
    check_ledger()


def test_what_a_day_was_too_short_for_goes_into_the_next_file(acme: Cast, stub: BatchStub) -> None:
    stub.says("n2.", Says("In time."))
    batch = started(acme, 3)

    ended(batch, stub, "expired")

    assert (file_of(batch).status, statuses(batch)) == ("expired", {"done": 1, "waiting": 2})
    send(batch)
    ended(batch, stub)
    assert words(stub) == [["Say n1.", "Say n2.", "Say n3."], ["Say n1.", "Say n3."]]
    assert (batch.status, statuses(batch)) == ("done", {"done": 3})
    assert runs(batch) == {"ok": 3, "failed": 2}
    check_ledger()


def test_cancelled_from_here_keeps_what_was_answered(acme: Cast, stub: BatchStub, provider: str) -> None:
    stub.says("n2.", Says("In time."))
    batch = started(acme, 3)

    control.cancel(batch)
    poll(batch)
    poll(batch)

    assert stub.asked.count("cancel") == 1 and file_of(batch).cancelled_at is not None
    assert statuses(batch) == {"running": 3}  # a provider takes its time
    ended(batch, stub, "cancelled")
    assert (batch.status, statuses(batch)) == ("cancelled", {"done": 1, "cancelled": 2})
    assert answers(batch) == {2: ["In time."]}
    assert runs(batch) == {"ok": 1, "stopped": 2}
    assert check_ledger() == cost_of_one(provider)


@at_openai
def test_cancelled_elsewhere_pauses_and_says_so(acme: Cast, stub: BatchStub) -> None:
    batch = started(acme, 2)

    ended(batch, stub, "cancelled")

    assert (batch.status, batch.pause_code, statuses(batch)) == ("paused", "cancelled", {"waiting": 2})
    control.resume(batch)
    send(batch)
    ended(batch, stub)
    assert (batch.status, statuses(batch)) == ("done", {"done": 2})
    check_ledger()


@at_openai
def test_a_paused_batch_sends_nothing_more_and_settles_what_was_sent(acme: Cast, stub: BatchStub) -> None:
    stub.next("create", Refuse(429, "rate_limit_error"))
    batch = started(acme, 2)
    assert (file_of(batch).status, file_of(batch).error_code) == ("ready", "rate_limited")
    control.pause(batch)
    poll(batch)
    assert stub.asked.count("create") == 1
    control.resume(batch)
    poll(batch)
    control.pause(batch)

    ended(batch, stub)

    assert (batch.status, statuses(batch)) == ("paused", {"done": 2})
    check_ledger()


@at_openai
@pytest.mark.parametrize(("code", "status"), [("invalid_json_line", "paused"), ("token_limit_exceeded", "running")])
def test_a_file_refused_as_a_whole_costs_nothing(acme: Cast, stub: BatchStub, code: str, status: str) -> None:
    batch = started(acme, 2)
    stub.end("failed", errors=[{"code": code, "message": f"no {KEY}", "line": None, "param": None}])

    poll(batch)

    file = file_of(batch)
    assert (batch.status, file.status, statuses(batch)) == (status, "failed", {"waiting": 2})
    assert KEY not in f"{file.error_message} {batch.pause_message}" and file.error_message
    assert check_ledger() == 0
    send(batch)
    assert len(stub.kept) == 1  # there is no room yet, or it is paused
    BatchRow.objects.update(claimed_until=None)
    if status == "paused":
        control.resume(batch)
    send(batch)
    ended(batch, stub)
    assert statuses(batch) == {"done": 2}


@at_openai
@pytest.mark.parametrize("refusal", [Refuse(401, message=f"Bad key {KEY}"), Refuse(404), Refuse(400)], ids=str)
def test_a_file_that_is_not_taken_leaves_its_rows_waiting(acme: Cast, stub: BatchStub, refusal: Refuse) -> None:
    stub.next("create", refusal)

    batch = started(acme, 2)

    assert (batch.status, statuses(batch), file_of(batch).status) == ("paused", {"waiting": 2}, "failed")
    assert batch.pause_message and KEY not in f"{batch.pause_message} {list(ProviderBatch.objects.values())}"
    assert runs(batch) == {"failed": 2} and check_ledger() == 0
    control.resume(batch)
    send(batch)
    ended(batch, stub)
    assert statuses(batch) == {"done": 2}


@pytest.mark.parametrize("step", [Breaks(), Refuse(500)], ids=["taken", "not taken"])
def test_a_file_of_which_nothing_was_heard_is_looked_for_and_sent_once(
    acme: Cast, stub: BatchStub, provider: str, step: Any
) -> None:
    stub.next("create", step)

    batch = started(acme, 2)

    file = file_of(batch)
    assert (file.status, file.external_id, statuses(batch)) == ("sending", "", {"running": 2})
    send(batch)
    assert not follow(file.pk)  # not due yet: it may be under way
    assert (close_lost(timedelta(0)), stub.asked.count("create")) == (0, 1)
    poll(batch)
    poll(batch)
    file.refresh_from_db()
    assert (file.status, list(stub.kept)) == ("sent", [file.external_id])
    ended(batch, stub)
    assert (batch.status, statuses(batch), len(stub.kept)) == ("done", {"done": 2}, 1)
    assert check_ledger() == 2 * cost_of_one(provider)


@at_anthropic
def test_a_strangers_file_of_the_same_size_is_left_alone(acme: Cast, stub: BatchStub, provider: str) -> None:
    with tenant_context(acme.globex):
        other = draft(acme, 2)
        control.start(other)
        send(other)
    stub.next("create", Refuse(500))
    batch = started(acme, 2)
    stranger = next(iter(stub.kept.values()))

    poll(batch)

    file = file_of(batch)
    assert (file.status, stub.asked.count("create")) == ("ready", 2)  # known to be Globex's, so not ours
    with tenant_context(acme.globex):
        ProviderBatch.objects.update(external_id="")  # as if it were another installation's
    ProviderBatch.objects.filter(pk=file.pk).update(status="sending", sending_at=timezone.now())
    poll(batch)
    assert file_of(batch).external_id == stranger.id
    stub.end()
    poll(batch)
    file.refresh_from_db()
    assert (file.status, file.external_id, file.tried_ids) == ("sending", "", [stranger.id])
    assert (statuses(batch), answers(batch)) == ({"running": 2}, {})
    poll(batch)
    poll(batch)
    ended(batch, stub)
    assert (batch.status, statuses(batch)) == ("done", {"done": 2})
    assert check_ledger() == 2 * cost_of_one(provider)


def test_a_download_that_breaks_is_taken_up_again(acme: Cast, stub: BatchStub, provider: str) -> None:
    batch = started(acme, 30)
    stub.next("content", Half(4_000), Half(8_000))
    stub.end()

    poll(batch)

    settled = ProviderLine.objects.exclude(settled_at=None).count()
    assert 0 < settled < 30 and file_of(batch).status == "sent" and file_of(batch).error_code == "unavailable"
    poll(batch)
    poll(batch)
    assert (batch.status, statuses(batch)) == ("done", {"done": 30})
    assert BatchResult.objects.count() == 30 and check_ledger() == 30 * cost_of_one(provider)


@at_openai
def test_results_wait_for_us_when_the_day_passes_without_us(acme: Cast, stub: BatchStub) -> None:
    batch = started(acme, 2)
    stub.end()

    poll(batch, after=LATE)

    assert (batch.status, statuses(batch)) == ("done", {"done": 2})
    check_ledger()


@at_openai
@pytest.mark.parametrize("refusal", [Refuse(401), Refuse(404)], ids=["refused", "unknown"])
def test_a_file_never_heard_of_again_counts_at_all_that_it_reserved(
    acme: Cast, stub: BatchStub, refusal: Refuse
) -> None:
    batch = started(acme, 2)
    stub.next("retrieve", refusal, refusal)

    poll(batch)
    file = file_of(batch)
    assert (file.status, batch.status) == ("sent", "running") and file.error_message
    poll(batch, after=LATE)

    file.refresh_from_db()
    assert (file.status, batch.status, statuses(batch)) == ("lost", "paused", {"waiting": 2})
    assert runs(batch) == {"lost": 2}
    assert check_ledger() == sum(run.reserved_usd for run in Run.objects.all()) > 0


@at_openai
def test_hard_budgets_hold_for_all_that_is_with_the_provider(acme: Cast, stub: BatchStub, provider: str) -> None:
    batch = draft(acme, 5)
    each = batch.worst_usd / 5
    cap = budget(each * Decimal("3.5"))
    control.start(batch)

    send(batch)

    assert statuses(batch) == {"running": 3, "waiting": 2} and batch.status == "running"
    held = sum(run.reserved_usd for run in Run.objects.filter(status="running"))
    assert held <= cap.cap_usd < held + each
    ended(batch, stub)
    send(batch)
    assert statuses(batch) == {"done": 3, "running": 2}
    ended(batch, stub)
    assert (batch.status, statuses(batch)) == ("done", {"done": 5})
    assert check_ledger() <= cap.cap_usd


@at_openai
def test_a_spent_budget_pauses_until_it_begins_anew(acme: Cast, stub: BatchStub) -> None:
    budget("0.000001")
    batch = draft(acme, 2)
    control.start(batch)

    send(batch)

    assert (batch.status, batch.pause_code, statuses(batch)) == ("paused", "budget_spent", {"waiting": 2})
    assert batch.resumes_at is not None and not stub.asked
    check_ledger()


@at_openai
def test_files_are_split_where_they_would_be_too_large(
    acme: Cast, stub: BatchStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(half_price, "MOST_LINES", 2)

    batch = started(acme, 5)

    assert words(stub) == [["Say n1.", "Say n2."], ["Say n3.", "Say n4."], ["Say n5."]]
    ended(batch, stub)
    assert (batch.status, statuses(batch)) == ("done", {"done": 5})
    check_ledger()


@at_openai
def test_a_model_without_such_a_price_is_not_offered(acme: Cast, stub: BatchStub, settings: Any) -> None:
    settings.OPENAI_MODEL = "my-own"
    price = ModelPrice.objects.create(
        provider="openai", model="my-own", valid_from=timezone.now().date(), input_usd=1, output_usd=1
    )
    try:
        with pytest.raises(NoHalfPrice):
            draft(acme, 1)
    finally:
        price.delete()  # prices outlive tests


@at_openai
def test_the_guard_reads_what_is_sent_and_what_comes_back(acme: Cast, stub: BatchStub, provider: str) -> None:
    Policy.objects.create(moderates=True, on_moderation="block")
    stub.says("Say n1.", Says("That is forbidden."))
    sheet = csv_of({"name": "n1"}, {"name": "a forbidden thing"}, {"name": "n3"})
    batch = started(acme, sheet=sheet)
    assert words(stub) == [["Say n1.", "Say n3."]]

    ended(batch, stub)

    rows = BatchRow.objects.order_by("number").values_list("status", "error_code")
    assert list(rows) == [("failed", "objectionable"), ("failed", "objectionable"), ("done", "")]
    refused = Run.objects.get(line__row__number=1)
    assert (refused.status, refused.flags, refused.cost_usd) == ("refused", ["moderated"], cost_of_one(provider))
    assert "forbidden" not in str(list(BatchResult.objects.values()))
    assert check_ledger() == 2 * cost_of_one(provider)


OWN_KEY = "sk-own-0123456789abcdef0123456789"


@pytest.fixture
def own(acme: Cast, stub: BatchStub, provider: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> ProviderKey:
    """Acme's own account with the maker of the models; the installation has none."""
    settings.OPENAI_API_KEY = settings.ANTHROPIC_API_KEY = settings.OPENAI_BASE_URL = ""
    settings.PRIVATE_PROVIDER_HOSTS = [f"127.0.0.1:{stub.port}"]
    module = {"openai": openai, "anthropic": anthropic}[provider]
    monkeypatch.setattr(module, f"{provider.upper()}_URL", stub.base_url(provider))
    key = ProviderKey(name="ours", kind=provider, model_names=[MODELS[provider]])
    return provider_keys.add(key, Secret(OWN_KEY))


def test_an_own_account_is_used_and_pays(acme: Cast, stub: BatchStub, provider: str, own: ProviderKey) -> None:
    stub.next("retrieve", Refuse(403, message=f"no {OWN_KEY}"))
    batch = started(acme, 2)
    poll(batch)

    ended(batch, stub)

    assert (batch.status, statuses(batch), file_of(batch).is_own_account) == ("done", {"done": 2}, True)
    assert {key.removeprefix("Bearer ") for key in stub.keys} == {OWN_KEY}
    assert set(Run.objects.values_list("payer", "provider_key", "provider")) == {("tenant", own.pk, "ours")}
    kept = [list(model.objects.values()) for model in (ProviderBatch, ProviderLine, Run, BatchRow, BatchResult)]
    assert OWN_KEY not in str(kept)
    assert check_ledger() == 2 * cost_of_one(provider)


@at_openai
def test_a_removed_account_can_be_asked_nothing(acme: Cast, stub: BatchStub, own: ProviderKey) -> None:
    batch = started(acme, 2)
    stub.end()
    provider_keys.remove(own)

    poll(batch)

    assert (batch.status, batch.pause_code, statuses(batch)) == ("paused", "account_gone", {"waiting": 2})
    assert (file_of(batch).status, runs(batch)) == ("lost", {"lost": 2})
    assert set(Run.objects.values_list("payer", flat=True)) == {"tenant"}
    check_ledger()


@at_openai
def test_no_file_goes_to_anothers_server(acme: Cast, stub: BatchStub, own: ProviderKey) -> None:
    ProviderKey.objects.update(base_url="https://llm.example.com/v1", input_usd=1, output_usd=1)

    with pytest.raises(NoHalfPrice):
        draft(acme, 1)
