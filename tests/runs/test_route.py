"""Which tier and which models a call takes: the page that tries a route and the calls themselves agree."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from apps.runs import configuration, execute, route, routes
from apps.runs.admit import Call, affordable
from apps.runs.gateway.types import Message, Request
from apps.runs.models import ModelPrice, ModelRoute, Policy, Run
from apps.runs.refusals import Refusal
from apps.runs.try_route import picture
from apps.tenants.context import tenant_context
from apps.tenants.models import Tenant, Tier
from apps.tenants.platform import PLATFORM
from apps.tenants.threads import in_thread
from tests.conftest import Cast
from tests.gateway.stub import Refuse, Say, Stall, Stub

from .scripted import CHEAP, STANDARD, give_tiers, says, serve


def asking(question: str = "How many days?", *, system: str = "", **fields: Any) -> Request:
    messages = (Message("system", system), Message("user", question)) if system else (Message("user", question),)
    return Request(messages, max_output_tokens=100, question=question, **fields)


@pytest.fixture
def script(server: Stub, settings: Any) -> Callable[..., None]:
    return serve(server, settings)


async def complete(cast: Cast, request: Request, **call: Any) -> tuple[Run, list[Run]]:
    with tenant_context(cast.acme):
        run = await execute.complete(request, feature="chat", user=cast.alice, **call)
        stored = await in_thread(lambda: list(Run.objects.order_by("created_at")))
    return run, stored


@pytest.mark.parametrize(
    ("question", "tier", "provider"),
    [
        ("How many days?", "cheap", "openai"),
        ("Why so many?", "standard", "anthropic"),
        ("Why? Compare `f(x)` and `g(x)`.", "strong", "anthropic"),
    ],
)
async def test_a_call_takes_the_tier_that_its_request_looks_like(
    committed_cast: Cast, script: Callable[..., None], question: str, tier: str, provider: str
) -> None:
    await in_thread(give_tiers, committed_cast.acme)
    script(cheap=[says("Hi.")], standard=[says("Hi.")])

    run, (stored,) = await complete(committed_cast, asking(question))

    assert (run.status, stored.tier, stored.provider) == ("ok", tier, provider)
    assert stored.route_reason.endswith(f": {tier}")


async def test_the_plan_caps_what_a_caller_forces(committed_cast: Cast, script: Callable[..., None]) -> None:
    await in_thread(give_tiers, committed_cast.acme)
    await in_thread(set_tenant, committed_cast.acme, highest_tier=Tier.CHEAP)
    script(cheap=[says("Hi.")])

    _, (stored,) = await complete(committed_cast, asking("Why?"), tier=Tier.STRONG)

    assert (stored.tier, stored.provider) == ("cheap", "openai")
    assert stored.route_reason == "always strong; cheap is the dearest that the plan allows"


async def test_a_policy_can_force_a_tier_and_is_in_force_at_once(
    committed_cast: Cast, script: Callable[..., None]
) -> None:
    await in_thread(give_tiers, committed_cast.acme)
    script(cheap=[says("Hi.")], standard=[says("Hi.")])

    _, first = await complete(committed_cast, asking())
    await in_thread(set_policy, committed_cast.acme, routing="forced", forced_tier="standard")
    _, second = await complete(committed_cast, asking())

    assert [run.tier for run in first] == ["cheap"]
    assert [(run.tier, run.route_reason) for run in second[1:]] == [("standard", "always standard")]


def set_tenant(tenant: Tenant, **values: Any) -> None:
    with tenant_context(tenant):
        Tenant.objects.filter(pk=tenant.pk).update(**values)
        configuration.fresh()


def set_policy(tenant: Tenant, **values: Any) -> None:
    with tenant_context(tenant):
        Policy.objects.update_or_create(tenant=tenant, defaults=values)


def refresh(tenant: Tenant) -> None:
    with tenant_context(tenant):
        configuration.fresh()


def add_route(tenant: Tenant, tier: Tier, target: tuple[str, str], **values: Any) -> ModelRoute:
    with tenant_context(tenant):
        provider, model = target
        return ModelRoute.unscoped.create(tenant=tenant, tier=tier, provider=provider, model=model, **values)


async def test_a_long_request_passes_a_small_model_by(
    committed_cast: Cast, script: Callable[..., None], server: Stub
) -> None:
    await in_thread(add_route, committed_cast.acme, Tier.CHEAP, CHEAP, context_tokens=500)
    await in_thread(add_route, committed_cast.acme, Tier.STANDARD, STANDARD, context_tokens=5_000)
    script(cheap=[says("Hi.")], standard=[says("Hi.")])

    for size in (10, 3_000, 30_000):
        _, stored = await complete(committed_cast, asking(system="x" * size))

    # What can't fit anywhere of the lists goes up to where there is no list, and every model is asked.
    assert [(each.status, each.tier) for each in stored] == [("ok", "cheap"), ("ok", "standard"), ("ok", "strong")]
    assert stored[1].route_reason.endswith("too long for every cheap model, so standard")


async def test_what_no_model_has_room_for_is_refused(
    committed_cast: Cast, script: Callable[..., None], server: Stub
) -> None:
    for tier in Tier:
        await in_thread(add_route, committed_cast.acme, tier, CHEAP, context_tokens=500)
    script()

    run, (stored,) = await complete(committed_cast, asking(system="x" * 3_000))

    assert (stored.status, stored.error_code, server.calls) == ("refused", "too_long", [])
    fault = execute.explain(run.error)
    assert "more than any model has room for" in fault.message and "Models" in fault.action


CLASSIFIER = {"routing": "classifier"}


async def test_a_classifier_is_asked_in_a_call_of_its_own(
    committed_cast: Cast, script: Callable[..., None], server: Stub
) -> None:
    await in_thread(give_tiers, committed_cast.acme, **CLASSIFIER)
    script(cheap=[says('{"tier": "strong"}')], standard=[says("Hi.")])

    run, (asked, stored) = await complete(committed_cast, asking("How many days?", system="Passages: secret."))

    assert (stored.tier, stored.route_reason) == ("strong", "classified: strong")
    assert (asked.purpose, asked.tier, asked.status) == ("classify", "cheap", "ok")
    assert (asked.user_id, asked.feature) == (committed_cast.alice.id, "chat") and asked.cost_usd > 0
    assert (run.pk, asked.parent_id) == (stored.pk, stored.pk)
    sent = server.calls[0].body["messages"]
    assert "How many days?" in sent[1]["content"] and "secret" not in str(sent)


@pytest.mark.parametrize(
    "answer",
    [
        says("strong, I guess"),
        says('{"tier": "colossal"}'),
        says('{"tier": "str', reason="length"),
        (Refuse(500),),
        (Refuse(400),),
        (Say('{"tier'), Stall()),
    ],
)
async def test_of_whatever_else_it_says_the_request_decides(
    committed_cast: Cast, script: Callable[..., None], answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route, "CLASSIFIER_DEADLINES", route.Deadlines(0.3, 0.3, 0.5, 0))
    await in_thread(give_tiers, committed_cast.acme, **CLASSIFIER)
    script(cheap=[answer], standard=[says("Hi.")])

    run, stored = await complete(committed_cast, asking("Why so many?"))

    assert (run.status, run.tier) == ("ok", "standard")
    assert run.route_reason == "asks to reason or compare: standard (the classifier gave no answer)"
    assert [each.purpose for each in stored] == ["classify", "answer"]


async def test_a_classifier_never_goes_above_the_plan(committed_cast: Cast, script: Callable[..., None]) -> None:
    await in_thread(give_tiers, committed_cast.acme, **CLASSIFIER)
    await in_thread(set_tenant, committed_cast.acme, highest_tier=Tier.STANDARD)
    script(cheap=[says('{"tier": "strong"}')], standard=[says("Hi.")])

    run, _ = await complete(committed_cast, asking())

    assert run.tier == "standard"


async def test_no_classifier_is_asked_where_it_decides_nothing(
    committed_cast: Cast, script: Callable[..., None], server: Stub
) -> None:
    """A forced tier, one tier allowed, or the same models in all of them."""
    await in_thread(set_policy, committed_cast.acme, **CLASSIFIER)
    script(cheap=[says("Hi.")])
    await complete(committed_cast, asking())
    await in_thread(give_tiers, committed_cast.acme)
    await in_thread(refresh, committed_cast.acme)
    await complete(committed_cast, asking(), tier=Tier.CHEAP)
    await in_thread(set_tenant, committed_cast.acme, highest_tier=Tier.CHEAP)

    _, stored = await complete(committed_cast, asking())

    assert [run.purpose for run in stored] == ["answer"] * 3 and len(server.calls) == 3


REQUESTS = [
    asking(),
    asking("Why so many?"),
    asking("Why? Compare `f(x)` and `g(x)`."),
    asking(system="x" * 2_000),
    asking("Name them.", schema={"type": "object"}),
    asking(system="x" * 400_000),
]
ROUTES: list[list[tuple[Tier, tuple[str, str], int | None]]] = [
    [],
    [(Tier.CHEAP, CHEAP, None), (Tier.CHEAP, STANDARD, None)],
    [(Tier.CHEAP, CHEAP, 1_000), (Tier.STANDARD, STANDARD, 100_000), (Tier.STRONG, CHEAP, 100_000)],
    [(Tier.CHEAP, ("openai", "no-such-price"), None), (Tier.STANDARD, ("gone", "model"), None)],
]


@pytest.mark.parametrize("rows", ROUTES)
@pytest.mark.parametrize("highest", list(Tier))
@pytest.mark.parametrize("allowed", [[], [STANDARD[1]]])
def test_what_the_page_says_is_what_a_call_would_do(
    cast: Cast, script: Callable[..., None], rows: Any, highest: Tier, allowed: list[str]
) -> None:
    for tier, target, context_tokens in rows:
        add_route(cast.acme, tier, target, context_tokens=context_tokens)
    set_tenant(cast.acme, highest_tier=highest, allowed_models=allowed)
    with tenant_context(cast.acme):
        known = configuration.fresh()
        for request in REQUESTS:
            for forced in (None, *Tier):
                seen = picture(request, feature="chat", known=known, forced=forced)
                taken = next(course for course in seen.courses if course.is_taken)
                shown = [str(step.target) for step in taken.steps if step.place]
                chosen = route.planned(request, feature="chat", configuration=known, forced=forced)
                call = Call(request, Run(feature="chat"), tier=forced)
                try:
                    called = [str(choice.target) for choice in affordable(call, chosen.tier, known)]
                except Refusal:
                    called = []

                assert (seen.route, shown) == (chosen, called)
                assert bool(seen.refusal) == (not called)
        assert not Run.objects.exists()


async def test_the_page_says_what_a_call_then_does(committed_cast: Cast, script: Callable[..., None]) -> None:
    await in_thread(give_tiers, committed_cast.acme)
    script(cheap=[says("Hi.")], standard=[says("Hi.")])

    def look() -> Any:
        return picture(asking("Why so many?"), feature="chat", known=configuration.fresh())

    with tenant_context(committed_cast.acme):
        seen = await in_thread(look)
    run, _ = await complete(committed_cast, asking("Why so many?"))

    first = next(step for course in seen.courses if course.is_taken for step in course.steps if step.place == 1)
    assert (run.tier, run.route_reason) == (seen.route.tier, seen.route.reason)
    assert (run.provider, run.model) == (first.target.provider, first.target.model)
    assert run.reserved_usd == seen.bound_usd


@pytest.fixture
def everybodys(transactional_db: None) -> Iterator[Callable[[Tier, tuple[str, str]], Any]]:
    """Adds a route of everybody's. They are removed again in a way that counts their revision up."""
    routes = ModelRoute.unscoped.using(PLATFORM)
    yield lambda tier, target: routes.create(tier=tier, provider=target[0], model=target[1])
    routes.filter(tenant=None).delete()


@pytest.mark.django_db(transaction=True, databases=["default", "platform"])
def test_a_dear_model_in_a_cheap_list_is_still_not_in_the_plan(
    committed_cast: Cast, script: Callable[..., None], everybodys: Callable[..., Any]
) -> None:
    everybodys(Tier.STRONG, STANDARD)
    everybodys(Tier.CHEAP, CHEAP)
    set_tenant(committed_cast.acme, highest_tier=Tier.STANDARD)
    add_route(committed_cast.acme, Tier.CHEAP, STANDARD)  # from before a downgrade

    with tenant_context(committed_cast.acme):
        known = configuration.fresh()
        asked = route.reach(asking(), Tier.CHEAP, known)
        with pytest.raises(routes.Refused, match="doesn’t offer"):
            routes.check(*STANDARD, known)

    # The cheap list has nothing for this plan, nor has the standard tier: every configured model is one of it.
    assert [choice.target.model for choice in asked] == [CHEAP[1]]


@pytest.mark.django_db(transaction=True, databases=["default", "platform"])
def test_everybodys_routes_hold_until_a_workspace_has_its_own(
    committed_cast: Cast, script: Callable[..., None], everybodys: Callable[..., Any]
) -> None:
    everybodys(Tier.CHEAP, CHEAP)
    add_route(committed_cast.acme, Tier.STANDARD, CHEAP)

    def models(tenant: Tenant, tier: Tier) -> list[str]:
        with tenant_context(tenant):
            return [choice.target.model for choice in route.choices(configuration.fresh(), tier)]

    assert models(committed_cast.acme, Tier.CHEAP) == models(committed_cast.globex, Tier.CHEAP) == [CHEAP[1]]
    assert models(committed_cast.acme, Tier.STANDARD) == [CHEAP[1]]
    assert models(committed_cast.globex, Tier.STANDARD) == [CHEAP[1], STANDARD[1]]


def test_a_route_without_a_price_is_told_where_to_get_one(
    cast: Cast, script: Callable[..., None], settings: Any
) -> None:
    settings.OPENAI_MODEL = "house-model"
    with tenant_context(cast.acme):
        with pytest.raises(routes.Refused, match=r"has no price.*under Prices"):
            routes.check("openai", "house-model", configuration.fresh())
        with pytest.raises(routes.Refused, match="no provider “nobody”"):
            routes.check("nobody", "house-model", configuration.fresh())
        ModelPrice.objects.create(
            provider="openai", model="house-model", valid_from="2020-01-01", input_usd=Decimal(1), output_usd=Decimal(2)
        )
        routes.check("openai", "house-model", configuration.fresh())
