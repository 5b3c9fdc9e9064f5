"""What a provider, a neighbour or the clock may do to a call, and what must not come of it."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from django.db import OperationalError

from apps.runs import admit, execute
from apps.runs.gateway.types import Deadlines, Message, Request
from apps.runs.models import Budget, Policy, Run, Spend
from apps.tenants import provider_keys
from apps.tenants.context import tenant_context, user_context
from apps.tenants.models import ProviderKey, Tenant, Tier, User
from apps.tenants.threads import in_thread
from apps.tenants.vault.secret import Secret
from tests.conftest import Cast
from tests.gateway.stub import Finish, Refuse, Say, Stall, Stub, Wait
from tests.runs.budgeting import spend
from tests.runs.scripted import CHEAP, give_tiers, says, serve

QUESTION = Request(
    messages=(Message("system", "Be brief."), Message("user", "Say hello.")), max_output_tokens=200, question="Hello?"
)
Script = Callable[..., None]


@pytest.fixture
def script(server: Stub, settings: Any) -> Script:
    return serve(server, settings)


async def ask(tenant: Tenant, user: User, request: Request = QUESTION, **call: Any) -> Run:
    with tenant_context(tenant):
        return await execute.complete(request, feature="chat", user=user, **call)


def stored(tenant: Tenant) -> list[Run]:
    with tenant_context(tenant):
        return list(Run.objects.order_by("created_at"))


def reserved(tenant: Tenant) -> set[Decimal]:
    with tenant_context(tenant):
        rows = Spend.objects.values_list("day_reserved_usd", "month_reserved_usd", "day_reserved_tokens")
        return {Decimal(value) for row in rows for value in row}


async def test_what_a_caller_makes_a_provider_say_opens_nobodys_circuit(
    committed_cast: Cast, script: Script, settings: Any
) -> None:
    settings.ANTHROPIC_API_KEY = ""
    said = "Invalid schema: In context=('properties', 'exceeded your current quota'), 'uri' is not a valid format."
    script(cheap=[(Refuse(400, message=said),), says("Hello.")])

    refused = await ask(committed_cast.globex, committed_cast.charlie)
    after = await ask(committed_cast.acme, committed_cast.alice)

    assert (refused.error_code, after.status) == ("bad_request", "ok")


async def test_long_answers_that_never_pause_open_no_circuit(
    committed_cast: Cast, script: Script, settings: Any
) -> None:
    settings.ANTHROPIC_API_KEY = ""
    script(cheap=[tuple(step for _ in range(400) for step in (Say("word "), Wait(0.05)))])
    deadlines = Deadlines(first_token_s=30, idle_s=30, total_s=3)  # in which all of them begin, on a busy machine too

    asked = (ask(committed_cast.globex, committed_cast.charlie, deadlines=deadlines) for _ in range(12))
    runs = await asyncio.gather(*asked)
    script(cheap=[says("Hello.")])
    after = await ask(committed_cast.acme, committed_cast.alice)

    assert {run.error_code for run in runs} == {"interrupted"}
    assert after.status == "ok"


async def test_a_key_removed_under_a_call_costs_it_nothing(
    committed_cast: Cast, server: Stub, script: Script, settings: Any
) -> None:
    acme, alice = committed_cast.acme, committed_cast.alice
    settings.PRIVATE_PROVIDER_HOSTS = ["127.0.0.1", f"127.0.0.1:{server.port}"]
    script(cheap=[(Say("Hi"), Wait(1), Finish())])

    def own_key() -> None:
        with tenant_context(acme), user_context(alice):
            give_own_key(server)

    def remove_it() -> None:
        with tenant_context(acme), user_context(alice):
            provider_keys.remove(ProviderKey.objects.get())

    await in_thread(own_key)
    heard = asyncio.Event()

    async def hear(text: str) -> None:
        heard.set()

    asking = asyncio.create_task(ask(acme, alice, on_delta=hear))
    await asyncio.wait_for(heard.wait(), 20)
    await in_thread(remove_it)
    run = await asking

    (row,) = await in_thread(stored, acme)
    assert (run.status, run.text, row.status, row.payer, row.provider_key_id) == ("ok", "Hi", "ok", "tenant", None)
    assert await in_thread(reserved, acme) == {0}


def give_own_key(server: Stub) -> None:
    row = ProviderKey(name="ours", model_names=[CHEAP[1]], input_usd=Decimal(1), output_usd=Decimal(1))
    row.base_url = server.base_url("openai")
    provider_keys.add(row, Secret("sk-own-0123456789abcdef0123456789"))


@pytest.mark.parametrize(
    "counts",
    [
        {"prompt_tokens": 2**33, "completion_tokens": 1},
        {"prompt_tokens": 5, "completion_tokens": -3},
        {"prompt_tokens": 12.5, "completion_tokens": 3},
        {"prompt_tokens": "many", "completion_tokens": 3},
    ],
)
async def test_whatever_a_provider_counts_the_run_is_closed(
    committed_cast: Cast, script: Script, settings: Any, counts: dict[str, Any]
) -> None:
    settings.ANTHROPIC_API_KEY = ""
    script(cheap=[(Say("Hi\0."), Finish(counts=counts))])

    run = await ask(committed_cast.acme, committed_cast.alice)

    (row,) = await in_thread(stored, committed_cast.acme)
    assert (run.text, row.status) == ("Hi.", "ok")
    assert await in_thread(reserved, committed_cast.acme) == {0}


async def test_a_degraded_answer_isnt_given_again_as_a_better_one(committed_cast: Cast, script: Script) -> None:
    acme, alice = committed_cast.acme, committed_cast.alice
    script(cheap=[says("Cheap.")], standard=[says("Better.")])
    vector = np.eye(1, 384, dtype=np.float32)[0]

    def arrange() -> None:
        give_tiers(acme, routing=Policy.Routing.FORCED, forced_tier=Tier.STANDARD)
        with tenant_context(acme):
            Budget.objects.create(cap_usd=Decimal("0.001"), soft_percent=1, soft_action="degrade", is_hard=False)
            spend("0.0001")

    def raise_it() -> None:
        with tenant_context(acme):
            Budget.objects.all().delete()

    await in_thread(arrange)
    degraded = await ask(acme, alice, cache=execute.CacheQuery("Where is the office?", vector, "known"))
    await in_thread(raise_it)
    usual = await ask(acme, alice, cache=execute.CacheQuery("Where is the office?", vector, "known"))

    assert (degraded.text, usual.text, usual.is_cached) == ("Cheap.", "Better.", False)


async def test_a_call_that_is_refused_asks_no_classifier(committed_cast: Cast, server: Stub, script: Script) -> None:
    acme = committed_cast.acme
    script(cheap=[says('{"tier": "standard"}')], standard=[says("Hello.")])

    def arrange() -> None:
        give_tiers(acme, routing=Policy.Routing.CLASSIFIER)
        with tenant_context(acme):
            Tenant.objects.filter(pk=acme.pk).update(requests_per_minute=1)

    await in_thread(arrange)
    statuses = [(await ask(acme, committed_cast.alice)).status for _ in range(4)]

    assert statuses == ["ok", "refused", "refused", "refused"]
    assert len(server.calls) == 2  # the first one's classifier and its answer


async def test_what_breaks_once_a_run_is_written_leaves_no_reservation(
    committed_cast: Cast, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(cheap=[says("Hello.")])
    begin = admit.ledger.begin

    def written_and_not_told(*args: Any, **kwargs: Any) -> Any:
        begin(*args, **kwargs)
        raise OperationalError("the connection broke")

    monkeypatch.setattr(admit.ledger, "begin", written_and_not_told)
    with pytest.raises(OperationalError):
        await ask(committed_cast.acme, committed_cast.alice)

    (row,) = await in_thread(stored, committed_cast.acme)
    assert (row.status, row.cost_usd) == ("failed", 0)
    assert await in_thread(reserved, committed_cast.acme) == {0}


async def test_stop_is_heard_while_the_classifier_is_asked(committed_cast: Cast, server: Stub, script: Script) -> None:
    acme = committed_cast.acme
    script(cheap=[(Stall(),)], standard=[says("Hello.")])
    await in_thread(give_tiers, acme, routing=Policy.Routing.CLASSIFIER)
    stop = asyncio.Event()

    asking = asyncio.create_task(ask(acme, committed_cast.alice, stop=stop))
    call = await asyncio.to_thread(server.next_call)
    stop.set()
    run = await asking

    assert await asyncio.to_thread(call.was_hung_up.wait, 1)
    assert run.status == "stopped"
    assert await in_thread(reserved, acme) == {0}
