"""A worker that is killed while it sends a file or settles one: nothing is sent twice, and nothing counted twice."""

import multiprocessing
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings

from apps.runs.batches import control
from apps.runs.batches.files import follow
from apps.runs.batches.work import work
from apps.runs.models import BatchResult, ProviderBatch, ProviderLine
from apps.tenants.context import tenant_id_context
from tests.conftest import Cast
from tests.gateway.batch_stub import BatchStub, Holds
from tests.runs.batches.rows import statuses

from .half import check_ledger, configure, cost_of_one, draft, ended, file_of, poll

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "platform"])

WITHIN_S = 60

_context = multiprocessing.get_context("forkserver")


def do(tenant_id: UUID, provider: str, url: str, what: Callable[[UUID], Any], about: UUID) -> None:
    configure(settings, provider, url)
    with tenant_id_context(tenant_id):
        what(about)


def process(cast: Cast, stub: BatchStub, provider: str, what: Callable[[UUID], Any], about: UUID) -> Any:
    arguments = (cast.acme.pk, provider, stub.base_url(provider), what, about)
    made = _context.Process(target=do, args=arguments, daemon=True)
    made.start()
    return made


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("provider", ["openai"], indirect=True)
def test_killed_while_the_provider_takes_the_file(acme: Cast, stub: BatchStub, provider: str) -> None:
    batch = draft(acme, 2)
    control.start(batch)
    reached, let_go = threading.Event(), threading.Event()

    def hold(name: str) -> None:
        if name == "create":
            reached.set()
            let_go.wait(WITHIN_S)

    stub.before = hold
    worker = process(acme, stub, provider, work, batch.pk)
    assert reached.wait(WITHIN_S)
    worker.kill()
    worker.join(WITHIN_S)
    stub.before = lambda name: None
    let_go.set()
    until(lambda: bool(stub.kept))  # it took the file all the same

    poll(batch)

    assert (file_of(batch).status, [file_of(batch).external_id]) == ("sent", list(stub.kept))
    poll(batch)
    ended(batch, stub)
    assert (batch.status, statuses(batch), stub.asked.count("create")) == ("done", {"done": 2}, 1)
    assert check_ledger() == 2 * cost_of_one(provider)


@pytest.mark.parametrize("provider", ["openai"], indirect=True)
def test_killed_in_the_middle_of_settling(acme: Cast, stub: BatchStub, provider: str) -> None:
    batch = draft(acme, 40)
    control.start(batch)
    work(batch.pk)
    stub.end()
    held = Holds(16_000)
    stub.next("content", held)
    ProviderBatch.objects.update(due_at=batch.created_at)
    worker = process(acme, stub, provider, follow, file_of(batch).pk)
    settled = ProviderLine.objects.exclude(settled_at=None)
    until(lambda: settled.count() >= 10)
    worker.kill()
    worker.join(WITHIN_S)
    held.let_go.set()
    until_lease_is_over()
    assert 0 < settled.count() < 40

    poll(batch)

    assert (batch.status, statuses(batch)) == ("done", {"done": 40})
    assert BatchResult.objects.count() == 40
    assert check_ledger() == 40 * cost_of_one(provider)


def until_lease_is_over() -> None:
    assert ProviderBatch.objects.exclude(claimed_until=None).exists()
    ProviderBatch.objects.update(claimed_until=ProviderBatch.objects.get().created_at - timedelta(minutes=1))
