"""A cheap model answers, judges itself, and hands on what it isn't sure of: two real SDKs over real HTTP."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from apps.runs import execute
from apps.runs.gateway.types import Message, Request
from apps.runs.models import Budget, ModelRoute, Run
from apps.tenants.context import tenant_context
from apps.tenants.models import Tenant, Tier
from apps.tenants.threads import in_thread
from tests.conftest import Cast
from tests.gateway.stub import Cut, Fail, Refuse, Say, Stall, Stub

from .scripted import give_tiers, says, serve

QUESTION = Request((Message("user", "How many days?"),), max_output_tokens=100, question="How many days?")
CASCADE = {"routing": "cascade", "cascade_threshold": Decimal("0.70")}


@pytest.fixture
def script(server: Stub, settings: Any, committed_cast: Cast) -> Callable[..., None]:
    give_tiers(committed_cast.acme, **CASCADE)
    return serve(server, settings)


class Reader:
    """Who hears an answer, and what of it counts."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.restarts = 0

    async def hear(self, text: str) -> None:
        self.pieces.append(text)

    async def restart(self) -> None:
        self.pieces.clear()
        self.restarts += 1


async def ask(cast: Cast, reader: Reader | None = None, **call: Any) -> tuple[Run, list[Run]]:
    reader = reader or Reader()
    with tenant_context(cast.acme):
        run = await execute.complete(
            call.pop("request", QUESTION),
            feature="chat",
            user=cast.alice,
            on_delta=reader.hear,
            on_restart=reader.restart,
            **call,
        )
        stored = await in_thread(lambda: list(Run.objects.order_by("created_at")))
    return run, stored


def path(runs: list[Run]) -> list[tuple[str, str, str]]:
    return [(run.purpose, run.tier, run.status) for run in runs]


async def test_a_sure_answer_is_the_cheap_one(committed_cast: Cast, script: Callable[..., None], server: Stub) -> None:
    script(cheap=[says("Thirty."), says('{"score": 0.9}')])
    reader = Reader()

    run, stored = await ask(committed_cast, reader)

    assert (run.text, reader.pieces) == ("Thirty.", ["Thirty."])
    assert path(stored) == [("answer", "cheap", "ok"), ("judge", "cheap", "ok")]
    cheap, judge = stored
    assert (run.pk, judge.parent_id) == (cheap.pk, cheap.pk)
    assert judge.route_reason == "rated its answer 0.90; sure enough from 0.70"
    assert judge.user_id == committed_cast.alice.id and judge.cost_usd > 0
    turns = [message["content"] for message in server.calls[1].body["messages"]]
    assert turns[0] == "How many days?" and turns[1] == "Thirty." and "score" in turns[2]


@pytest.mark.parametrize(
    ("judgement", "reason"),
    [
        (says('{"score": 0.69}'), "rated its answer 0.69; sure enough from 0.70"),
        (says('{"score": 7}'), "gave no rating; sure enough from 0.70"),
        (says("Quite sure."), "gave no rating; sure enough from 0.70"),
        (says('{"score": 0.9', reason="length"), "gave no rating; sure enough from 0.70"),
        ((Refuse(400),), "gave no rating; sure enough from 0.70"),
    ],
)
async def test_what_it_isnt_sure_of_a_dearer_model_answers(
    committed_cast: Cast, script: Callable[..., None], judgement: Any, reason: str
) -> None:
    script(cheap=[says("Thirty?"), judgement], standard=[says("Thirty-one.")])
    reader = Reader()

    run, stored = await ask(committed_cast, reader)

    assert (run.text, reader.pieces, reader.restarts) == ("Thirty-one.", ["Thirty-one."], 0)
    cheap, judge, final = stored
    assert [each.tier for each in stored] == ["cheap", "cheap", "standard"]
    assert judge.route_reason == reason
    assert (run.pk, final.parent_id, final.provider) == (final.pk, cheap.pk, "anthropic")
    assert final.route_reason == "the cheap answer wasn’t sure enough"
    assert cheap.cost_usd > 0 and final.cost_usd > 0


async def test_nothing_is_heard_before_it_is_judged(
    committed_cast: Cast, script: Callable[..., None], server: Stub
) -> None:
    script(cheap=[says("Thirty."), (Say('{"score"'), Stall())])
    reader, stop = Reader(), asyncio.Event()

    asking = asyncio.create_task(ask(committed_cast, reader, stop=stop))
    await asyncio.to_thread(server.next_call)
    judging = await asyncio.to_thread(server.next_call)
    assert await asyncio.to_thread(judging.has_begun.wait, 5)
    heard = list(reader.pieces)
    stop.set()
    run, stored = await asking

    assert heard == []
    assert path(stored) == [("answer", "cheap", "ok"), ("judge", "cheap", "stopped")]
    assert (run.text, reader.pieces) == ("Thirty.", ["Thirty."])  # it was finished, and is paid for


async def test_a_hard_question_is_handed_on_to_the_strong_tier(
    committed_cast: Cast, script: Callable[..., None]
) -> None:
    hard = Request((Message("user", "Why? Compare `f(x)` and `g(x)`."),), max_output_tokens=100)
    script(cheap=[says("Hm."), says('{"score": 0.1}')], standard=[says("Because.")])

    _, stored = await ask(committed_cast, request=hard)

    assert [run.tier for run in stored] == ["cheap", "cheap", "strong"]


async def test_a_cheap_model_that_fails_is_followed_by_a_dearer_one(
    committed_cast: Cast, script: Callable[..., None]
) -> None:
    script(cheap=[(Say("Thi"), Fail("server_error"))], standard=[says("Thirty-one.")])
    reader = Reader()

    run, stored = await ask(committed_cast, reader)

    assert (run.text, reader.pieces, reader.restarts) == ("Thirty-one.", ["Thirty-one."], 0)
    assert path(stored) == [("answer", "cheap", "failed"), ("answer", "standard", "ok")]


@pytest.mark.parametrize(("failing", "restarts"), [((Refuse(400),), 0), ((Say("Thirty-"), Cut()), 1)])
async def test_a_dearer_answer_that_fails_leaves_the_cheap_one(
    committed_cast: Cast, script: Callable[..., None], failing: Any, restarts: int
) -> None:
    script(cheap=[says("Thirty?"), says('{"score": 0.2}')], standard=[failing])
    reader = Reader()

    run, stored = await ask(committed_cast, reader)

    assert (run.text, run.status, reader.pieces, reader.restarts >= restarts) == ("Thirty?", "ok", ["Thirty?"], True)
    assert stored[-1].status == "failed" and run.pk == stored[0].pk


async def test_what_is_refused_is_refused_once(committed_cast: Cast, script: Callable[..., None], server: Stub) -> None:
    with tenant_context(committed_cast.acme):
        await in_thread(Budget.objects.create, cap_usd=Decimal("0.000001"), period="day")
    script(cheap=[says("Thirty.")])

    run, stored = await ask(committed_cast)

    assert (run.status, run.error_code, len(stored), server.calls) == ("refused", "budget_spent", 1, [])


async def alone(cast: Cast, **call: Any) -> list[tuple[str, str, str]]:
    run, stored = await ask(cast, **call)
    assert run.status == "ok"
    return path(stored)


async def test_a_forced_tier_is_no_cascade(committed_cast: Cast, script: Callable[..., None]) -> None:
    script(standard=[says("Thirty.")])

    assert await alone(committed_cast, tier=Tier.STRONG) == [("answer", "strong", "ok")]


async def test_where_there_is_no_dearer_tier_there_is_no_cascade(
    committed_cast: Cast, script: Callable[..., None]
) -> None:
    with tenant_context(committed_cast.acme):
        await in_thread(Tenant.objects.filter(pk=committed_cast.acme.pk).update, highest_tier=Tier.CHEAP)
    script(cheap=[says("Thirty.")])

    assert await alone(committed_cast) == [("answer", "cheap", "ok")]


async def test_where_all_tiers_are_the_same_models_there_is_no_cascade(
    committed_cast: Cast, script: Callable[..., None]
) -> None:
    with tenant_context(committed_cast.acme):
        await in_thread(ModelRoute.unscoped.filter(tenant=committed_cast.acme).delete)
    script(cheap=[says("Thirty.")])

    assert await alone(committed_cast) == [("answer", "cheap", "ok")]


async def test_the_offline_answerer_is_no_cascade(committed_cast: Cast) -> None:
    await in_thread(give_tiers, committed_cast.acme, **CASCADE)

    run, stored = await ask(committed_cast)

    assert len(stored) == 1 and run.status in ("ok", "refused")
