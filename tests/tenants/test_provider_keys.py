"""A workspace's own accounts with providers: entered on a page, tried at once, sealed, and used for its calls."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from apps.runs import execute
from apps.runs.gateway.types import Message, Request
from apps.runs.models import Run
from apps.tenants import provider_keys
from apps.tenants.context import tenant_context
from apps.tenants.models import AuditEvent, DataKey, Membership, ProviderKey, User
from apps.tenants.threads import in_thread
from apps.tenants.vault import sealing
from tests.conftest import PASSWORD, Cast, signed_in

from .providers import MODELS, Provider, serving

KEY, OTHER = "sk-own-0123456789-wxyz", "sk-own-another-567890-abcd"
PAGE = "/t/acme/settings/provider-keys/"
HELLO = Request(messages=(Message("user", "Say hello."),), max_output_tokens=50, question="Hello?")


@pytest.fixture
def provider(settings: Any) -> Iterator[Provider]:
    with serving(KEY, OTHER) as provider:
        settings.PRIVATE_PROVIDER_HOSTS = [provider.place]
        yield provider


@pytest.fixture
def alice(cast: Cast) -> Client:
    return signed_in(cast.alice)


def typed(provider: Provider, **fields: str) -> dict[str, str]:
    return {"name": "ours", "kind": "openai", "base_url": provider.openai_url, "key": KEY, "models": "", **fields}


def added(cast: Cast, provider: Provider, **fields: str) -> ProviderKey:
    response = signed_in(cast.alice).post(f"{PAGE}add/", typed(provider, **{"models": "model-a", **fields}))
    assert response.status_code == 302, response.context["form"].errors
    return stored(cast)[-1]


def stored(cast: Cast) -> list[ProviderKey]:
    with tenant_context(cast.acme):
        return list(ProviderKey.objects.order_by("created_at"))


def logged(cast: Cast) -> list[tuple[str, dict[str, Any]]]:
    with tenant_context(cast.acme):
        events = AuditEvent.objects.filter(action__startswith="provider_key.").order_by("at")
        return list(events.values_list("action", "details"))


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_a_key_that_works_is_sealed_and_never_shown(cast: Cast, alice: Client, provider: Provider, kind: str) -> None:
    base_url = provider.openai_url if kind == "openai" else provider.anthropic_url

    response = alice.post(f"{PAGE}add/", typed(provider, kind=kind, base_url=base_url), follow=True)

    (row,) = stored(cast)
    assert (row.name, row.kind, row.last_four, row.is_on, row.model_names) == ("ours", kind, "wxyz", False, [])
    assert row.tested_at and row.created_by == cast.alice
    assert KEY.encode() not in bytes(row.sealed)
    assert response.request["PATH_INFO"] == f"{PAGE}{row.pk}/"
    page = response.content.decode()
    assert KEY not in page and "•••• wxyz" in page
    assert [box.choice_label for box in response.context["form"]["listed"]] == sorted(MODELS)
    assert logged(cast) == [("provider_key.added", {"kind": row.get_kind_display(), "last_four": "wxyz"})]
    with tenant_context(cast.acme):
        assert provider_keys.reveal(row).reveal() == KEY


def test_a_model_that_is_named_says_a_word_first(cast: Cast, provider: Provider) -> None:
    row = added(cast, provider, models="model-b, model-a\nmodel-b")

    assert (row.model_names, row.is_on) == (["model-b", "model-a"], True)
    assert [path for path, _ in provider.seen] == ["/v1/models", "/v1/chat/completions"]


def hangs(answer: Any) -> None:
    answer.connection.recv(1)


@pytest.mark.parametrize(
    ("fields", "faults", "said"),
    [
        ({"key": "sk-wrong-key-0123456789"}, {}, "The provider refuses this key."),
        ({"models": "model-z"}, {}, "The provider has no model of that name for this key: model-z."),
        ({}, {"/v1/models": 402}, "says that its account has no credit"),
        ({}, {"/v1/models": 500}, "Nothing at that address answers"),
        ({}, {"/v1/models": hangs}, "didn’t answer within ten seconds"),
        ({"models": "model-a"}, {"model-a": 400}, "refuses a small question to model-a"),
        ({"base_url": "https://127.0.0.1:9/v1"}, {}, "private network"),
        ({"base_url": "http://llm.example.com"}, {}, "in the clear"),
        ({"base_url": "https://me:secret@llm.example.com"}, {}, "name or password"),
        ({"key": "two words"}, {}, "A key is one word"),
        ({"key": "sk-ключ-0123456789"}, {}, "A key is one word"),
        ({"key": ""}, {}, "This field is required."),
        ({"name": "offline"}, {}, "has a meaning of its own"),
        ({"name": "no name"}, {}, "Enter a valid"),
        ({"models": "x" * 121}, {}, "too long"),
    ],
)
def test_what_does_not_work_is_not_stored_and_says_why(
    cast: Cast, alice: Client, provider: Provider, monkeypatch: Any, fields: Any, faults: Any, said: str
) -> None:
    monkeypatch.setattr("apps.runs.try_key.WITHIN_S", 1.0)
    provider.faults = faults

    response = alice.post(f"{PAGE}add/", typed(provider, **fields))

    page = response.content.decode()
    assert response.status_code == 200 and said in page
    assert (fields.get("key") or KEY) not in page
    assert (stored(cast), logged(cast)) == ([], [])


def test_a_server_that_lists_nothing_wants_a_name(cast: Cast, alice: Client, provider: Provider) -> None:
    provider.lists = False

    refused = alice.post(f"{PAGE}add/", typed(provider))

    assert "doesn’t list its models" in refused.content.decode()
    assert added(cast, provider, models="model-a").is_on


def test_a_name_is_taken_once_in_each_workspace(cast: Cast, alice: Client, provider: Provider) -> None:
    added(cast, provider)

    response = alice.post(f"{PAGE}add/", typed(provider))

    assert "There is a key named ours already" in response.content.decode()
    assert len(stored(cast)) == 1
    theirs = signed_in(cast.charlie).post("/t/globex/settings/provider-keys/add/", typed(provider))
    assert theirs.status_code == 302


def test_models_and_prices_are_chosen_afterwards(cast: Cast, alice: Client, provider: Provider) -> None:
    row = added(cast, provider, models="")
    prices = {"input_usd": "0.5", "output_usd": "2"}

    alice.post(f"{PAGE}{row.pk}/", {"listed": ["model-a"], "others": "model-b", **prices})

    (row,) = stored(cast)
    assert (row.model_names, row.is_on, str(row.input_usd)) == (["model-a", "model-b"], True, "0.500000")
    assert [action for action, _ in logged(cast)][1:] == ["provider_key.changed", "provider_key.switched"]
    alice.post(f"{PAGE}{row.pk}/", {"listed": [], "others": ""})
    assert not stored(cast)[0].is_on


def test_one_price_alone_is_none(cast: Cast, alice: Client, provider: Provider) -> None:
    row = added(cast, provider)

    response = alice.post(f"{PAGE}{row.pk}/", {"listed": ["model-a"], "input_usd": "1"})

    assert "Write both prices, or neither." in response.content.decode()


def test_a_model_without_a_price_is_said_to_be_refused(cast: Cast, alice: Client, provider: Provider) -> None:
    row = added(cast, provider)

    assert "so calls of it are refused" in alice.get(PAGE).content.decode()

    alice.post(f"{PAGE}{row.pk}/", {"others": "model-a", "input_usd": "0", "output_usd": "0"})
    assert "are refused" not in alice.get(PAGE).content.decode()


def test_a_replaced_key_is_gone(cast: Cast, alice: Client, provider: Provider) -> None:
    row = added(cast, provider)
    before = bytes(row.sealed)

    refused = alice.post(f"{PAGE}{row.pk}/replace/", {"key": "sk-wrong-key-0123456789"})
    assert "The provider refuses this key." in refused.content.decode()
    assert bytes(stored(cast)[0].sealed) == before

    alice.post(f"{PAGE}{row.pk}/replace/", {"key": OTHER})
    (row,) = stored(cast)
    with tenant_context(cast.acme):
        assert provider_keys.reveal(row).reveal() == OTHER
    assert row.last_four == "abcd"
    assert logged(cast)[-1] == ("provider_key.replaced", {"last_four": {"before": "wxyz", "after": "abcd"}})


def test_a_key_is_tried_again_and_its_fault_is_shown(cast: Cast, alice: Client, provider: Provider) -> None:
    row = added(cast, provider)
    provider.keys.clear()

    page = alice.post(f"{PAGE}{row.pk}/test/", follow=True).content.decode()
    assert "The provider refuses this key." in page and KEY not in page
    assert stored(cast)[0].last_error.startswith("The provider refuses this key.")

    provider.keys.add(KEY)
    alice.post(f"{PAGE}{row.pk}/test/")
    assert stored(cast)[0].last_error == ""


def test_it_is_switched_off_and_on_and_removed(cast: Cast, alice: Client, provider: Provider) -> None:
    row = added(cast, provider)

    alice.post(f"{PAGE}{row.pk}/switch/", {"on": "false"})
    assert not stored(cast)[0].is_on
    alice.post(f"{PAGE}{row.pk}/switch/", {"on": "true"})
    assert stored(cast)[0].is_on
    alice.post(f"{PAGE}{row.pk}/remove/")

    assert stored(cast) == []
    assert [action for action, _ in logged(cast)] == [
        *("provider_key.added", "provider_key.switched", "provider_key.switched", "provider_key.removed")
    ]


def test_a_key_that_cannot_be_opened_can_be_entered_anew(cast: Cast, alice: Client, provider: Provider) -> None:
    row = added(cast, provider)
    with tenant_context(cast.acme):
        DataKey.objects.update(wrapped=b"damaged")
    sealing.forget()

    page = alice.post(f"{PAGE}{row.pk}/test/", follow=True).content.decode()

    assert "can’t be opened right now" in page
    assert alice.get(f"{PAGE}{row.pk}/").status_code == 200


def test_only_owners_and_admins_manage_keys(cast: Cast, provider: Provider) -> None:
    row = added(cast, provider)
    admin = User.objects.create_user("ada@acme.example", PASSWORD)
    with tenant_context(cast.acme):
        Membership.objects.create(user=admin, role="admin")
    deeds = [f"{PAGE}add/", *(f"{PAGE}{row.pk}/{deed}" for deed in ("", "replace/", "test/", "switch/", "remove/"))]

    for page in (PAGE, f"{PAGE}{row.pk}/"):
        assert signed_in(admin).get(page).status_code == 200
        assert signed_in(cast.bob).get(page).status_code == 403
        assert signed_in(cast.charlie).get(page).status_code == 404
        assert signed_in(cast.charlie).get(page.replace("acme", "globex")).status_code == (200 if page == PAGE else 404)
    for deed in deeds:
        said = {**typed(provider), "on": "false"}
        assert signed_in(cast.bob).post(deed, said).status_code == 403
        assert signed_in(cast.charlie).post(deed, said).status_code == 404
    for deed in deeds[1:]:
        assert signed_in(cast.charlie).post(deed.replace("acme", "globex"), {"on": "false"}).status_code == 404
    (after,) = stored(cast)
    assert (after.pk, after.is_on, bytes(after.sealed)) == (row.pk, True, bytes(row.sealed))


def test_what_a_provider_listed_is_remembered_for_its_workspace_alone(cast: Cast, provider: Provider) -> None:
    row = added(cast, provider)

    assert cache.get(f"tenant:{cast.acme.pk}:provider-models:{row.pk}") == tuple(sorted(MODELS))


async def test_a_call_is_made_with_the_workspaces_own_key(committed_cast: Cast, provider: Provider) -> None:
    prices = {"input_usd": "1", "output_usd": "2", "others": "model-a"}

    def enter() -> ProviderKey:
        row = added(committed_cast, provider)
        signed_in(committed_cast.alice).post(f"{PAGE}{row.pk}/", prices)
        return row

    row = await in_thread(enter)
    provider.seen.clear()
    with tenant_context(committed_cast.acme):
        run = await execute.complete(HELLO, feature="chat", user=committed_cast.alice)
        stored_run = await in_thread(Run.objects.get)

    assert (run.text, run.status, run.error) == ("OK.", "ok", None)
    assert (stored_run.payer, stored_run.provider, stored_run.provider_key_id) == ("tenant", "ours", row.pk)
    assert provider.seen == [("/v1/chat/completions", KEY)]
