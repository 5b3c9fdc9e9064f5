"""A process that is killed in the middle of a call leaves nothing reserved, once the sweeper has passed.

It is killed at places we choose: the provider falls silent there, or a lock that the test holds stops the ledger.
"""

import asyncio
import multiprocessing
import socket
import time
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings

from apps.runs import execute
from apps.runs.gateway.types import Message, Request
from apps.runs.lost import close_lost
from apps.runs.models import Budget, Run, Spend
from apps.tenants.context import tenant_context, tenant_id_context
from apps.tenants.models import User
from tests.conftest import Cast, admin
from tests.gateway.stub import Finish, Say, Stall, Stub

from .budgeting import budget
from .crowd import differences

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "platform"])

WITHIN_S = 60
MODEL = "gpt-5-mini"
QUESTION = Request(messages=(Message("user", "Say hello."),), max_output_tokens=200, question="Hello?")

_context = multiprocessing.get_context("forkserver")


def ask(pipe: Any, tenant_id: UUID, user_id: UUID, base_url: str) -> None:
    """One call, in a process of its own: says what it hears, and when it has ended."""
    settings.OPENAI_API_KEY, settings.OPENAI_BASE_URL, settings.OPENAI_MODEL = "sk-none", base_url, MODEL

    async def hear(text: str) -> None:
        pipe.send(text)
        pipe.recv()  # until it may go on

    with tenant_id_context(tenant_id):
        user = User.objects.get(pk=user_id)
        run = asyncio.run(execute.complete(QUESTION, feature="chat", user=user, on_delta=hear))
    pipe.send(f"ended: {run.status}")
    pipe.recv()  # until it is killed


class Caller:
    def __init__(self, cast: Cast, base_url: str) -> None:
        self.pipe, end = _context.Pipe()
        arguments = (end, cast.acme.pk, cast.alice.pk, base_url)
        self.process = _context.Process(target=ask, args=arguments, daemon=True)
        self.process.start()
        end.close()

    def until(self, said: str) -> None:
        deadline = time.monotonic() + WITHIN_S
        while self.pipe.poll(max(0, deadline - time.monotonic())):
            if self.pipe.recv() == said:
                return
        pytest.fail(f"It never said {said!r}.")

    def kill(self) -> None:
        self.process.kill()
        self.process.join(WITHIN_S)


@pytest.fixture
def stub(server: Stub) -> Stub:
    server.calls.clear()
    server.scripts.clear()
    return server


@pytest.fixture
def cast(committed_cast: Cast) -> Cast:
    with tenant_context(committed_cast.acme):
        budget("0.01")
        budget("0.01", "user")
    return committed_cast


def until_row(cast: Cast) -> Run:
    """The run that the other process has begun."""
    deadline = time.monotonic() + WITHIN_S
    with tenant_context(cast.acme):
        while time.monotonic() < deadline:
            if run := Run.objects.first():
                return run
            time.sleep(0.01)
    pytest.fail("No run was begun.")


def until_it_waits() -> int:
    """Until another connection waits for a row that is locked here; returns its process in the server."""
    deadline = time.monotonic() + WITHIN_S
    waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%runs_close%'"
    with admin() as connection:
        while time.monotonic() < deadline:
            if row := connection.execute(waiting).fetchone():
                return row[0]
            time.sleep(0.01)
    pytest.fail("Nobody closed a run.")


def sweep(cast: Cast) -> int:
    """Twice; the second time must change nothing. Returns how many runs were lost."""
    lost = close_lost(timedelta(0))
    before = state(cast)
    assert close_lost(timedelta(0)) == 0
    assert state(cast) == before
    return lost


def state(cast: Cast) -> tuple[Any, ...]:
    with tenant_context(cast.acme):
        return list(Run.objects.order_by("id").values()), list(Spend.objects.order_by("id").values())


def check(cast: Cast, status: str) -> Run:
    with tenant_context(cast.acme):
        run = Run.objects.get()
        assert (run.status, run.finished_at is None) == (status, False)
        assert differences() == []
        spent = Spend.objects.get(scope="workspace").month_usd
        assert spent == run.cost_usd and Decimal(0) < spent <= Budget.objects.get(scope="workspace").cap_usd
        return run


def test_killed_before_the_provider_has_read_anything(cast: Cast) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        caller = Caller(cast, f"http://127.0.0.1:{deaf.getsockname()[1]}/v1")
        reserved = until_row(cast).reserved_usd
        caller.kill()

    assert sweep(cast) == 1
    assert check(cast, "lost").cost_usd == reserved


def test_killed_in_the_middle_of_an_answer(cast: Cast, stub: Stub) -> None:
    stub.script(MODEL, Say("Hel"), Stall())
    caller = Caller(cast, stub.base_url("openai"))
    caller.until("Hel")
    caller.kill()

    assert sweep(cast) == 1
    run = check(cast, "lost")
    assert run.cost_usd == run.reserved_usd


@pytest.mark.parametrize("is_committed", [False, True], ids=["never closed", "closed by the server after all"])
def test_killed_while_the_run_is_being_closed(cast: Cast, stub: Stub, is_committed: bool) -> None:
    """What a killed process has sent may still be done: the server notices its death at the end of the statement."""
    stub.script(MODEL, Say("Hello."), Finish())
    with admin() as holder:
        holder.autocommit = False
        caller = Caller(cast, stub.base_url("openai"))
        caller.until("Hello.")
        holder.execute("SELECT FROM runs_spend FOR UPDATE")
        caller.pipe.send("go on")
        closing = until_it_waits()
        caller.kill()
        if not is_committed:
            with admin() as other:
                other.execute("SELECT pg_terminate_backend(%s)", [closing])
        holder.rollback()
    until_gone(closing)

    assert sweep(cast) == (0 if is_committed else 1)
    check(cast, "ok" if is_committed else "lost")


def until_gone(pid: int) -> None:
    with admin() as connection:
        deadline = time.monotonic() + WITHIN_S
        while connection.execute("SELECT FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone():
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_killed_right_after_the_run_was_closed(cast: Cast, stub: Stub) -> None:
    stub.script(MODEL, Say("Hello."), Finish())
    caller = Caller(cast, stub.base_url("openai"))
    caller.until("Hello.")
    caller.pipe.send("go on")
    caller.until("ended: ok")
    caller.kill()

    assert sweep(cast) == 0
    check(cast, "ok")
