"""What a run says and costs after each fault of a provider, with another model behind it: both SDKs over real HTTP.

`pytest -s tests/runs/test_fault_table.py` prints the table at its end.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from redis import Redis

from apps.runs import execute
from apps.runs.gateway.types import Deadlines, Message, Request
from apps.runs.models import ModelRoute, Policy, Run
from apps.tenants.context import tenant_context
from apps.tenants.models import Tier
from apps.tenants.threads import in_thread
from tests.conftest import Cast
from tests.gateway.faults import AFTER, BEFORE, FILTER, Fault, by_sdk
from tests.gateway.stub import Finish, Say, Stub

KEY = "sk-corbel-canary-0123456789abcdef"
QUESTION = Request(
    messages=(Message("system", "Be brief."), Message("user", "Say hello.")), max_output_tokens=200, question="Hello?"
)
MODELS = {"openai": "gpt-5-mini", "anthropic": "claude-haiku-4-5"}
OTHER = {"openai": "anthropic", "anthropic": "openai"}
PATIENT = Deadlines(backoff_s=0)
IMPATIENT = {
    "stall": Deadlines(first_token_s=1, idle_s=0.5, backoff_s=0),
    "slow drip": Deadlines(total_s=0.8, backoff_s=0),
}
Table = dict[tuple[str, ...], list[str]]
HEAD = ("fault", "content", "run", "attempts", "cost $ by SDK")


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    """What came of each fault, with the costs by SDK. One row where both came to the same end."""
    rows: Table = {}
    yield rows
    lines = [HEAD, ("---",) * len(HEAD), *((*row, ", ".join(costs)) for row, costs in rows.items())]
    print("", *(f"| {' | '.join(line)} |" for line in lines), sep="\n")  # noqa: T201


@pytest.fixture
def faulty(committed_cast: Cast, server: Stub, settings: Any, unused_tcp_port: int) -> Any:
    """Prepares Acme: first the model with the fault, then one of the other provider that answers."""
    for key in (redis := Redis.from_url(settings.REDIS_URL)).scan_iter("circuit:*"):
        redis.delete(key)
    server.forget()
    settings.OPENAI_API_KEY = settings.ANTHROPIC_API_KEY = KEY
    bases = {sdk: server.base_url(sdk) for sdk in MODELS}

    def prepare(sdk: str, fault: Fault) -> None:
        if fault.name == "connection refused":
            bases[sdk] = f"http://127.0.0.1:{unused_tcp_port}/v1"
        if fault.name == "no such host":
            bases[sdk] = "http://provider.invalid/v1"
        settings.OPENAI_BASE_URL, settings.ANTHROPIC_BASE_URL = bases["openai"], bases["anthropic"]
        server.script(MODELS[sdk], *fault.script())
        server.script(MODELS[OTHER[sdk]], Say("Good "), Say("day"), Finish())
        with tenant_context(committed_cast.acme):
            Policy.objects.create(on_break=Policy.OnBreak.RESTART)
            for position, provider in enumerate((sdk, OTHER[sdk])):
                ModelRoute.unscoped.create(
                    tenant=committed_cast.acme,
                    tier=Tier.STANDARD,
                    provider=provider,
                    model=MODELS[provider],
                    position=position,
                )

    return prepare


async def complete(cast: Cast, fault: Fault, **more: Any) -> tuple[Run, list[str]]:
    seen: list[str] = []

    async def hear(text: str) -> None:
        seen.append(text)

    async def restart() -> None:
        seen.append("|")

    if more.pop("restarts", False):
        more["on_restart"] = restart
    with tenant_context(cast.acme):
        run = await execute.complete(
            QUESTION,
            feature="chat",
            user=cast.alice,
            tier=Tier.STANDARD,
            deadlines=IMPATIENT.get(fault.name, PATIENT),
            on_delta=hear,
            **more,
        )
        stored = await in_thread(Run.objects.get)
    stored.text, stored.error, stored.finish_reason = run.text, run.error, run.finish_reason
    return stored, seen


def note(table: Table, sdk: str, fault: Fault, run: Run, *, when: str) -> None:
    said = [f"{a['status']}{' (again)' if a.get('is_retry') else ''}" for a in run.attempts]
    ending = " ".join(filter(None, (run.status, run.error_code, "as filtered" * (run.finish_reason == "filter"))))
    table.setdefault((fault.name, when, ending, " > ".join(said)), []).append(f"{sdk} {run.cost_usd:f}")


def is_consistent(run: Run) -> bool:
    """The run costs what its attempts cost, no more than was reserved, and nothing of the key is in it."""
    costs = [Decimal(a.get("cost_usd", 0)) for a in run.attempts]
    return run.cost_usd == sum(costs) <= run.reserved_usd and KEY not in f"{vars(run)} {run.error!r}"


@pytest.mark.parametrize(("sdk", "fault"), by_sdk(BEFORE), ids=str)
async def test_before_content(committed_cast: Cast, faulty: Any, table: Table, sdk: str, fault: Fault) -> None:
    await in_thread(faulty, sdk, fault)

    run, seen = await complete(committed_cast, fault)

    note(table, sdk, fault, run, when="before")
    codes = [fault.code] * fault.tries + ["ok"] * fault.falls_back
    assert [attempt["status"] for attempt in run.attempts] == codes
    assert (run.status, run.error_code) == (("ok", "") if fault.falls_back else ("failed", fault.code))
    assert (run.text, seen) == (("Good day", ["Good ", "day"]) if fault.falls_back else ("", []))
    assert run.provider == sdk
    assert run.provider_answered == (OTHER[sdk] if fault.falls_back else "")
    assert is_consistent(run)


@pytest.mark.parametrize(("sdk", "fault"), by_sdk(AFTER), ids=str)
async def test_after_content(committed_cast: Cast, faulty: Any, table: Table, sdk: str, fault: Fault) -> None:
    await in_thread(faulty, sdk, fault)

    run, seen = await complete(committed_cast, fault)

    note(table, sdk, fault, run, when="after")
    assert [attempt["status"] for attempt in run.attempts] == [fault.code]
    assert (run.status, run.error_code) == ("failed", "interrupted")
    assert run.text == "".join(seen) != ""
    assert run.output_tokens > 0
    assert run.cost_usd > 0
    assert is_consistent(run)


@pytest.mark.parametrize(("sdk", "fault"), by_sdk(AFTER[:-1]), ids=str)
async def test_after_content_with_a_reader_who_can_begin_anew(
    committed_cast: Cast, faulty: Any, table: Table, sdk: str, fault: Fault
) -> None:
    await in_thread(faulty, sdk, fault)

    run, seen = await complete(committed_cast, fault, restarts=True)

    note(table, sdk, fault, run, when="after, may restart")
    if fault.code == "bad_request":
        assert (run.status, run.error_code, run.text) == ("failed", "interrupted", "Hello")
    else:
        assert [attempt["status"] for attempt in run.attempts] == [fault.code, "ok"]
        assert (run.status, run.text, seen) == ("ok", "Good day", ["Hel", "lo", "|", "Good ", "day"])
        assert all("cost_usd" in attempt for attempt in run.attempts)
    assert is_consistent(run)


@pytest.mark.parametrize("sdk", MODELS)
async def test_a_filter_that_strikes_later(committed_cast: Cast, faulty: Any, table: Table, sdk: str) -> None:
    fault = FILTER.after()
    await in_thread(faulty, sdk, fault)

    run, _ = await complete(committed_cast, fault)

    note(table, sdk, fault, run, when="after")
    assert (run.status, run.text, run.finish_reason) == ("ok", "Hello", "filter")
    assert is_consistent(run)
