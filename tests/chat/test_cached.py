"""The same question, asked again in another conversation, gets the same answer with the same citations, at no cost."""

from decimal import Decimal
from typing import Any

import pytest
from django.core.files.base import ContentFile

from apps.chat import reply
from apps.chat.models import Citation, Message
from apps.knowledge.add import remove, store
from apps.knowledge.ingest import ingest
from apps.knowledge.models import Document
from apps.runs.models import Budget, CachedAnswer, Run
from apps.tenants.context import tenant_context
from apps.tenants.threads import in_thread
from tests.conftest import Cast, signed_in
from tests.gateway.stub import Refuse, Stub

from .asking import ACME, GLOBEX, QUESTION, ask, labels, look, of, said
from .conftest import ACME as HANDBOOK

SAME = "How many paid leave days do we get?"
SIMILAR = "Please tell me how many paid leave days we get."  # below the threshold, above that of an emergency


@pytest.mark.pool_and_silo
async def test_the_same_question_again_is_answered_from_the_cache(handbooks: Cast, socket: Any, model: Stub) -> None:
    alice, bob = await socket(handbooks.alice, ACME), await socket(handbooks.bob, ACME)
    first = await ask(alice)

    again = await ask(bob, SAME)

    assert said(again) == said(first) == "You get 28 days [1]."
    assert again[-1]["citations"] == first[-1]["citations"] != []
    assert of("passages", again)[-1]["passages"] == of("passages", first)[-1]["passages"]
    assert (labels(first), labels(again)) == ([], ["Answered before"])
    assert QUESTION in again[-1]["notes"][0]["detail"]
    assert (again[-1]["is_cached"], Decimal(again[-1]["cost_usd"])) == (True, 0)
    assert again[-1]["saved_usd"] == first[-1]["cost_usd"] and Decimal(first[-1]["cost_usd"]) > 0
    assert len(model.calls) == 1
    with tenant_context(handbooks.acme):
        run = await in_thread(Run.objects.get, is_cached=True)
        message = await in_thread(Message.objects.get, run=run)
    assert (run.user_id, run.status, run.saved_usd > 0) == (handbooks.bob.id, "ok", True)
    assert (message.marks, message.answers, message.text) == (["cached"], QUESTION, said(first))


async def test_the_page_shows_what_the_socket_said(handbooks: Cast, socket: Any, model: Stub) -> None:
    alice = await socket(handbooks.alice, ACME)
    await ask(alice)
    again = await ask(alice, SAME)

    page = await look(handbooks.alice, again[0]["conversation"]["url"])

    assert "Answered before" in page and again[-1]["notes"][0]["detail"][:40] in page


@pytest.mark.pool_and_silo
async def test_globex_is_never_given_acmes_answer(handbooks: Cast, socket: Any, model: Stub) -> None:
    def twin() -> None:
        """Globex knows the same, letter by letter."""
        remove(Document.objects.get())
        ingest(store(ContentFile(HANDBOOK.encode(), name="handbook.md"), user=None).id)

    with tenant_context(handbooks.globex):
        await in_thread(twin)
    alice, charlie = await socket(handbooks.alice, ACME), await socket(handbooks.charlie, GLOBEX)
    await ask(alice)

    charlies = await ask(charlie)

    assert (labels(charlies), len(model.calls)) == ([], 2)
    with tenant_context(handbooks.globex):
        assert not await in_thread(Run.objects.filter(is_cached=True).exists)


@pytest.mark.parametrize(
    "question", ["How many days of unpaid leave do we get?", "How many days of paid leave do we not get?"]
)
async def test_another_question_is_asked_of_the_model(handbooks: Cast, socket: Any, model: Stub, question: str) -> None:
    alice = await socket(handbooks.alice, ACME)
    await ask(alice)

    assert labels(await ask(alice, question)) == []
    assert len(model.calls) == 2


async def test_only_a_first_question_that_stands_alone_is_kept_or_given(
    handbooks: Cast, socket: Any, model: Stub
) -> None:
    alice = await socket(handbooks.alice, ACME)
    first = await ask(alice)

    same_conversation = await ask(alice, conversation=first[0]["conversation"]["id"])
    for leaning in ("And in May?", "What about it?", "What is due tomorrow?"):
        await ask(alice, leaning)
        assert labels(await ask(alice, leaning)) == []

    assert labels(same_conversation) == []
    with tenant_context(handbooks.acme):
        assert await in_thread(CachedAnswer.objects.count) == 1


@pytest.mark.pool_and_silo
@pytest.mark.parametrize("change", ["added", "removed", "read again"])
async def test_no_answer_outlives_what_it_rests_on(handbooks: Cast, socket: Any, model: Stub, change: str) -> None:
    alice = await socket(handbooks.alice, ACME)
    with tenant_context(handbooks.acme):
        await in_thread(changing, "added", "first.md")
    await ask(alice)
    with tenant_context(handbooks.acme):
        await in_thread(changing, change, "second.md")

    assert labels(await ask(alice)) == []
    assert len(model.calls) == 2


def changing(change: str, name: str) -> None:
    if change == "added":
        ingest(store(ContentFile(f"# {name}\n\nHotels may cost 140 dollars.".encode(), name=name), user=None).id)
    elif change == "removed":
        remove(Document.objects.get(filename="first.md"))
    else:
        Document.objects.filter(filename="handbook.md").update(status="queued")
        ingest(Document.objects.get(filename="handbook.md").id)


@pytest.mark.pool_and_silo
@pytest.mark.parametrize("change", ["added", "removed", "read again", "added and removed"])
async def test_nor_is_it_kept_when_that_changes_while_it_is_written(
    handbooks: Cast, socket: Any, model: Stub, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Between the search and the model a document changes, as another process would do it."""
    alice = await socket(handbooks.alice, ACME)
    with tenant_context(handbooks.acme):
        await in_thread(changing, "added", "first.md")
    found, search = reply.gather, reply.search

    def searched_amid(*args: Any, **fields: Any) -> Any:
        """The search sees a document that is gone again when the answer is kept: the knowledge is as it was before."""
        changing("added", "brief.md")
        hits = search(*args, **fields)
        remove(Document.objects.get(filename="brief.md"))
        return hits

    def gathered(*args: Any) -> Any:
        given = found(*args)
        changing(change, "second.md")
        return given

    if change == "added and removed":
        monkeypatch.setattr(reply, "search", searched_amid)
    else:
        monkeypatch.setattr(reply, "gather", gathered)
    await ask(alice)
    monkeypatch.undo()

    with tenant_context(handbooks.acme):
        assert not await in_thread(CachedAnswer.objects.exists)
    assert labels(await ask(alice)) == []


async def test_nor_is_it_given_when_that_changes_between_search_and_lookup(
    handbooks: Cast, socket: Any, model: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await socket(handbooks.alice, ACME)
    await ask(alice)
    found = reply.gather

    def gathered(*args: Any) -> Any:
        given = found(*args)
        changing("added", "second.md")
        return given

    monkeypatch.setattr(reply, "gather", gathered)

    assert labels(await ask(alice)) == []


async def test_a_spent_budget_still_gives_what_was_answered_before(handbooks: Cast, socket: Any, model: Stub) -> None:
    alice = await socket(handbooks.alice, ACME)
    await ask(alice)
    with tenant_context(handbooks.acme):
        await in_thread(Budget.objects.create, cap_usd=Decimal("0.000001"), period="day")

    refused, again = await ask(alice, "What is the notice period?"), await ask(alice)

    assert (refused[-1]["type"], refused[-1]["code"]) == ("error", "budget_spent")
    assert labels(again) == ["Answered before"]


async def test_when_no_model_answers_an_earlier_answer_does_and_says_so(
    handbooks: Cast, socket: Any, model: Stub
) -> None:
    alice = await socket(handbooks.alice, ACME)
    await ask(alice)
    with tenant_context(handbooks.acme):
        await in_thread(lambda: CachedAnswer.objects.update(expires_at="2026-01-01T00:00:00Z"))
    model.script(model.model, Refuse(401))

    again = await ask(alice, SIMILAR)
    nothing = await ask(alice, "How many days of unpaid leave do we get?")

    assert said(again) == "You get 28 days [1]." and labels(again) == ["An earlier answer"]
    assert QUESTION in again[-1]["notes"][0]["detail"] and again[-1]["citations"]
    assert nothing[-1]["type"] == "error"


async def test_a_deleted_conversation_takes_its_cached_answer_along(handbooks: Cast, socket: Any, model: Stub) -> None:
    alice = await socket(handbooks.alice, ACME)
    first = await ask(alice)
    url = f"/t/acme/chat/{first[0]['conversation']['id']}/delete/"

    await in_thread(lambda: signed_in(handbooks.alice).post(url))

    with tenant_context(handbooks.acme):
        assert not await in_thread(CachedAnswer.objects.exists)
        assert not await in_thread(Citation.objects.exists)
