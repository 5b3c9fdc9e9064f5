"""The pages about models: the policy, the routes of each tier, a request to try, and both admins."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from apps.runs import configuration
from apps.runs.models import ModelRoute, Policy, Run
from apps.tenants.context import tenant_context
from apps.tenants.deeds import plain_sentence
from apps.tenants.models import AuditEvent, Membership, Tenant, Tier, User
from apps.tenants.platform import PLATFORM
from tests.conftest import PASSWORD, Cast, signed_in

from .scripted import CHEAP, KEY, STANDARD, give_tiers

MODELS = "/t/acme/settings/models/"
ADMIN = "/t/acme/admin/runs/"
POLICY = {"routing": "cascade", "forced_tier": "cheap", "cascade_threshold": "0.55", "on_break": "partial"}
TRY = {"question": "Why so many?", "feature": "chat", "tier": "", "passages": 6, "passage_chars": 800, "turns": 0}
TRY |= {"turn_chars": 400, "max_output_tokens": 1200}


@pytest.fixture(autouse=True)
def providers(settings: Any) -> None:
    """Both have a key and an address at which nobody answers: a page that asked a model would fail."""
    settings.OPENAI_API_KEY = settings.ANTHROPIC_API_KEY = KEY
    settings.OPENAI_BASE_URL = settings.ANTHROPIC_BASE_URL = "http://127.0.0.1:9/"
    settings.OPENAI_MODEL, settings.ANTHROPIC_MODEL = CHEAP[1], STANDARD[1]


@pytest.fixture
def alice(cast: Cast) -> Client:
    return signed_in(cast.alice)


def own(tenant: Tenant, tier: Tier) -> list[str]:
    with tenant_context(tenant):
        found = ModelRoute.unscoped.filter(tenant=tenant, tier=tier).order_by("position")
        return list(found.values_list("model", flat=True))


def route_of(tenant: Tenant, tier: Tier = Tier.CHEAP, target: tuple[str, str] = CHEAP, **values: Any) -> ModelRoute:
    with tenant_context(tenant):
        provider, model = target
        return ModelRoute.unscoped.create(tenant=tenant, tier=tier, provider=provider, model=model, **values)


def log(tenant: Tenant) -> list[str]:
    with tenant_context(tenant):
        return [plain_sentence(event) for event in AuditEvent.objects.order_by("at")]


def member(cast: Cast, role: str) -> Client:
    user = User.objects.create_user(f"{role}@acme.example", PASSWORD)
    with tenant_context(cast.acme):
        Membership.objects.create(user=user, role=role)
    return signed_in(user)


def pages(cast: Cast) -> Iterator[tuple[str, str, dict[str, Any]]]:
    route = route_of(cast.acme)
    yield "get", MODELS, {}
    yield "post", f"{MODELS}policy/", POLICY
    yield "get", f"{MODELS}try/", {}
    yield "post", f"{MODELS}try/", TRY
    yield "post", f"{MODELS}routes/add/", {"tier": "strong", "target": "/".join(STANDARD)}
    for deed in ("up", "down", "remove"):
        yield "post", f"{MODELS}routes/{route.pk}/{deed}/", {}


def test_owners_and_admins_alone_come_in(cast: Cast) -> None:
    clients = (signed_in(cast.charlie), signed_in(cast.bob), member(cast, "viewer"), member(cast, "admin"))

    for method, url, data in pages(cast):
        answers = [getattr(client, method)(url, data).status_code for client in clients]
        assert answers[:3] == [404, 403, 403] and answers[3] in (200, 302), url


def test_a_policy_is_saved_logged_and_in_force(cast: Cast, alice: Client) -> None:
    response = alice.post(f"{MODELS}policy/", POLICY, follow=True)

    assert "That is saved" in response.content.decode()
    with tenant_context(cast.acme):
        policy = configuration.fresh().policy
    assert (policy.routing, policy.forced_tier, policy.on_break) == ("cascade", "cheap", "partial")
    assert policy.cascade_threshold == Decimal("0.55")
    [sentence] = [each for each in log(cast.acme) if "how models are called" in each]
    assert "sure enough from: 0.7 → 0.55" in sentence and "routing: heuristic → cascade" in sentence
    with tenant_context(cast.globex):
        assert configuration.fresh().policy.routing == "heuristic"


def test_a_policy_keeps_what_other_pages_set(cast: Cast, alice: Client) -> None:
    with tenant_context(cast.acme):
        Policy.objects.create(cache_hours=3, on_injection="block")

    alice.post(f"{MODELS}policy/", POLICY)

    with tenant_context(cast.acme):
        policy = Policy.objects.get()
    assert (policy.cache_hours, policy.on_injection, policy.routing) == (3, "block", "cascade")


@pytest.mark.parametrize("threshold", ["1.5", "-1", "", "high", "0.555"])
def test_a_threshold_that_is_none_is_told_what_to_write(cast: Cast, alice: Client, threshold: str) -> None:
    response = alice.post(f"{MODELS}policy/", {**POLICY, "cascade_threshold": threshold})

    assert "Write a number from 0 to 1 with two decimals" in response.content.decode()
    with tenant_context(cast.acme):
        assert not Policy.objects.exists()


def test_routes_are_added_ordered_and_removed(cast: Cast, alice: Client) -> None:
    for target in (CHEAP, STANDARD):
        alice.post(f"{MODELS}routes/add/", {"tier": "cheap", "target": "/".join(target), "context_tokens": "9000"})
    assert own(cast.acme, Tier.CHEAP) == [CHEAP[1], STANDARD[1]]
    with tenant_context(cast.acme):
        first, second = ModelRoute.unscoped.filter(tenant=cast.acme).order_by("position")

    alice.post(f"{MODELS}routes/{second.pk}/up/")
    assert own(cast.acme, Tier.CHEAP) == [STANDARD[1], CHEAP[1]]
    alice.post(f"{MODELS}routes/{second.pk}/up/")  # is the first already
    alice.post(f"{MODELS}routes/{second.pk}/down/")
    assert own(cast.acme, Tier.CHEAP) == [CHEAP[1], STANDARD[1]]
    alice.post(f"{MODELS}routes/{first.pk}/remove/")

    assert own(cast.acme, Tier.CHEAP) == [STANDARD[1]]
    assert log(cast.acme)[-5:] == [
        "added openai/gpt-5-mini to the cheap models",
        "added anthropic/claude-haiku-4-5 to the cheap models",
        "made anthropic/claude-haiku-4-5 number 1 of the cheap models",
        "made anthropic/claude-haiku-4-5 number 2 of the cheap models",
        "took openai/gpt-5-mini out of the cheap models",
    ]


def test_a_route_that_leads_nowhere_is_told_why(cast: Cast, alice: Client, settings: Any) -> None:
    settings.OPENAI_MODEL = "house-model"

    def says(target: str) -> str:
        response = alice.post(f"{MODELS}routes/add/", {"tier": "cheap", "target": target})
        assert response.status_code == 200
        return response.content.decode()

    assert "openai/house-model has no price" in says("openai/house-model")
    assert "That model isn’t offered" in says("openai/gpt-5")
    assert "That model isn’t offered" in says("nonsense")
    assert own(cast.acme, Tier.CHEAP) == []


def test_the_same_model_twice_in_a_tier_is_told(cast: Cast, alice: Client) -> None:
    route_of(cast.acme)

    response = alice.post(f"{MODELS}routes/add/", {"tier": "cheap", "target": "/".join(CHEAP)})

    assert "is among the cheap models already" in response.content.decode()


def test_anothers_route_is_not_found(cast: Cast, alice: Client) -> None:
    theirs = route_of(cast.globex)
    route_of(cast.globex, target=STANDARD, position=2)

    for deed in ("up", "down", "remove"):
        assert alice.post(f"{MODELS}routes/{theirs.pk}/{deed}/").status_code == 404

    assert own(cast.globex, Tier.CHEAP) == [CHEAP[1], STANDARD[1]]
    assert "Your own list" not in alice.get(MODELS).content.decode()


def test_a_request_is_tried_and_nothing_is_left(cast: Cast, alice: Client) -> None:
    give_tiers(cast.acme)

    page = alice.post(f"{MODELS}try/", TRY).content.decode()

    assert "Standard tier" in page and "Asks to reason or compare: standard." in page
    assert STANDARD[1] in page and "A million in / out" in page
    with tenant_context(cast.acme):
        assert not Run.objects.exists()


def test_what_is_passed_by_says_why(cast: Cast, alice: Client) -> None:
    route_of(cast.acme, Tier.STANDARD, CHEAP, context_tokens=500)
    route_of(cast.acme, Tier.STANDARD, STANDARD, position=2)
    route_of(cast.acme, Tier.STANDARD, ("openai", "no-such-price"), position=3)

    page = alice.post(f"{MODELS}try/", TRY).content.decode()

    assert "may be longer than it has room for" in page and "isn’t part of the workspace’s plan" in page
    assert "500 tokens" in page


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ({"routing": "classifier"}, "A small model would be asked first"),
        ({"routing": "cascade"}, "a cheap model answers, and hands on to standard"),
        ({"routing": "forced", "forced_tier": "strong"}, "Always strong."),
    ],
)
def test_the_policy_shows_in_the_picture(cast: Cast, alice: Client, policy: dict[str, str], says: str) -> None:
    give_tiers(cast.acme, **policy)

    page = alice.post(f"{MODELS}try/", {**TRY, "question": "How many?"}).content.decode()

    assert says.lower() in page.lower()


def test_a_try_that_is_wrong_is_told_so(cast: Cast, alice: Client) -> None:
    response = alice.post(f"{MODELS}try/", {**TRY, "question": "", "passages": "900"})

    page = response.content.decode()
    assert "This field is required" in page and "less than or equal to 50" in page
    assert 'id="picture"' not in page


def test_owners_change_their_routes_in_their_admin(cast: Cast, alice: Client) -> None:
    mine, theirs = route_of(cast.acme), route_of(cast.globex)
    form = {"tier": "standard", "position": "4", "provider": CHEAP[0], "model": CHEAP[1], "is_on": "on"}

    changed = alice.post(f"{ADMIN}modelroute/{mine.pk}/change/", form)
    wrong = alice.post(f"{ADMIN}modelroute/{mine.pk}/change/", {**form, "provider": "nobody"})
    others = alice.post(f"{ADMIN}modelroute/{theirs.pk}/change/", form)

    assert (changed.status_code, others.status_code) == (302, 302)
    assert "There is no provider “nobody” here" in wrong.content.decode()
    assert (own(cast.acme, Tier.STANDARD), own(cast.globex, Tier.CHEAP)) == ([CHEAP[1]], [CHEAP[1]])
    assert log(cast.acme)[-1].startswith("changed the route to openai/gpt-5-mini")
    assert not LogEntry.objects.exists()
    assert signed_in(cast.bob).get(f"{ADMIN}modelroute/").status_code == 403
    assert signed_in(cast.charlie).get(f"{ADMIN}modelroute/{mine.pk}/change/").status_code == 404


def test_owners_change_their_policy_in_their_admin(cast: Cast, alice: Client) -> None:
    with tenant_context(cast.acme):
        mine = Policy.objects.create()
    with tenant_context(cast.globex):
        theirs = Policy.objects.create(cache_hours=77)
    values = {**POLICY, "cache_threshold": "0.95", "cache_hours": "12", "on_injection": "flag"}
    values |= {"on_moderation": "block", "max_input_chars": "5000", "cache_is_on": "on"}

    changed = alice.post(f"{ADMIN}policy/{mine.pk}/change/", values)
    alice.post(f"{ADMIN}policy/{theirs.pk}/change/", values)

    assert changed.status_code == 302
    with tenant_context(cast.acme):
        mine.refresh_from_db()
    with tenant_context(cast.globex):
        theirs.refresh_from_db()
    assert (mine.routing, mine.cache_hours, mine.max_input_chars) == ("cascade", 12, 5000)
    assert (theirs.routing, theirs.cache_hours) == ("heuristic", 77)


@pytest.mark.django_db(transaction=True, databases=["default", "platform"])
def test_operators_set_everybodys_routes(committed_cast: Cast) -> None:
    operator = signed_in(User.objects.create_superuser("admin@corbel.example", PASSWORD))
    theirs = route_of(committed_cast.acme)
    url = "/platform/runs/modelroute/"
    form = {"tier": "cheap", "position": "1", "provider": CHEAP[0], "model": CHEAP[1], "is_on": "on"}

    added = operator.post(f"{url}add/", form)
    twice = operator.post(f"{url}add/", form).content.decode()
    unpriced = operator.post(f"{url}add/", {**form, "model": "no-such-price"}).content.decode()
    nobody = operator.post(f"{url}add/", {**form, "provider": "nobody"}).content.decode()
    listed = operator.get(url).content.decode()
    refused = operator.post(f"{url}{theirs.pk}/change/", form).status_code

    assert added.status_code == 302 and "is among the cheap models already" in twice
    assert "has no price" in unpriced and "The settings have no provider “nobody”" in nobody
    assert "Acme" in listed and "everybody" in listed and refused == 403
    with tenant_context(committed_cast.globex):
        assert [route.model for route in configuration.fresh().routes(Tier.CHEAP)] == [CHEAP[1]]
    route = ModelRoute.unscoped.using(PLATFORM).get(tenant=None)
    assert operator.post(f"{url}{route.pk}/change/", {**form, "position": "2"}).status_code == 302
    assert operator.post(f"{url}{route.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not ModelRoute.unscoped.using(PLATFORM).filter(tenant=None).exists()
    assert operator.get("/platform/runs/policy/").status_code == 200
    assert signed_in(committed_cast.alice).get(url).status_code == 302
