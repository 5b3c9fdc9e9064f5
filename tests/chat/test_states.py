"""What the reader is told when an answer is no ordinary one: refused, begun again, incomplete, switched off."""

from decimal import Decimal
from typing import Any

import pytest

from apps.chat.marks import marks_of
from apps.chat.models import Message
from apps.runs import policies
from apps.runs.models import Budget, CachedAnswer, Run
from apps.tenants.context import tenant_context
from apps.tenants.models import Flag
from apps.tenants.threads import in_thread
from tests.conftest import Cast
from tests.gateway.stub import Cut, Finish, Say, Stub

from .asking import ACME, QUESTION, ask, labels, look, of, said


async def test_a_refusal_says_until_when_live_and_on_the_page(handbooks: Cast, socket: Any, model: Stub) -> None:
    alice = await socket(handbooks.alice, ACME)
    with tenant_context(handbooks.acme):
        await in_thread(Budget.objects.create, cap_usd=Decimal("0.000001"), period="day")

    refused = await ask(alice)

    assert refused[-1]["resets_at"].endswith("T00:00:00+00:00")
    assert "daily budget of $0.000001" in refused[-1]["message"]
    with tenant_context(handbooks.acme):
        message = await in_thread(Message.objects.get, role="assistant")
    assert message.error_resets_at.isoformat() == refused[-1]["resets_at"]
    page = await look(handbooks.alice, refused[0]["conversation"]["url"])
    assert f'datetime="{refused[-1]["resets_at"]}"' in page


async def test_a_restart_clears_what_was_said_and_is_marked(
    handbooks: Cast, socket: Any, model: Stub, settings: Any
) -> None:
    settings.ANTHROPIC_API_KEY, settings.ANTHROPIC_BASE_URL = "sk-test", model.base_url("anthropic")
    model.script(settings.OPENAI_MODEL, Say("It is "), Say("30"), Cut())
    model.script(settings.ANTHROPIC_MODEL, Say("28 "), Say("days [1]."), Finish())
    alice = await socket(handbooks.alice, ACME)

    events = await ask(alice)

    assert len(of("restart", events)) == 1 and said(events) == "28 days [1]."
    assert labels(events) == ["Begun again"]
    with tenant_context(handbooks.acme):
        stored = await in_thread(Message.objects.get, role="assistant")
    assert (stored.text, stored.marks) == ("28 days [1].", ["restarted"])


async def test_a_partial_that_is_kept_is_marked(handbooks: Cast, socket: Any, model: Stub) -> None:
    with tenant_context(handbooks.acme):
        await in_thread(policies.change, on_break="partial")
    model.script(model.model, Say("It is "), Say("28"), Cut())
    alice = await socket(handbooks.alice, ACME)

    events = await ask(alice)

    assert (events[-1]["type"], labels(events)) == ("error", ["Incomplete"])
    assert said(events).startswith("It is")


@pytest.mark.parametrize(("name", "label"), [("chat", "Chat is switched off"), ("ai", "AI is switched off")])
async def test_a_switched_off_chat_says_what_works_on_the_page_and_on_the_socket(
    handbooks: Cast, socket: Any, model: Stub, name: str, label: str
) -> None:
    alice = await socket(handbooks.alice, ACME)
    first = await ask(alice)
    with tenant_context(handbooks.acme):
        await in_thread(
            lambda: Flag.objects.create(tenant=handbooks.acme, name=name, is_on=False, note="Until the audit is over.")
        )

    await alice.ask(QUESTION)
    refused = await alice.hear("error")
    page = await look(handbooks.alice, first[0]["conversation"]["url"])
    home = await look(handbooks.alice, "/t/acme/")

    assert refused["code"] == "switched_off" and len(model.calls) == 1
    assert refused["message"] == f"{label}. Until the audit is over."
    for html in (page, home):
        assert label in html and "Until the audit is over." in html
        assert "data-composer" not in html
    assert "You get 28 days" in page
    with tenant_context(handbooks.acme):
        assert await in_thread(Message.objects.count) == 2


async def test_without_search_by_meaning_answers_rest_on_passages_with_the_questions_words(
    handbooks: Cast, socket: Any, model: Stub
) -> None:
    alice = await socket(handbooks.alice, ACME)
    with tenant_context(handbooks.acme):
        await in_thread(lambda: Flag.objects.create(tenant=handbooks.acme, name="search", is_on=False))

    events = await ask(alice)

    assert said(events) == "You get 28 days [1]." and events[-1]["citations"]
    with tenant_context(handbooks.acme):
        assert not await in_thread(CachedAnswer.objects.exists)


def test_an_answer_of_a_cheaper_model_because_of_the_budget_is_marked() -> None:
    cheap = Run(status="ok", route_reason="a budget is nearly spent")
    cheap.text, cheap.finish_reason = "28 days [1].", "stop"
    cut = Run(status="ok", route_reason="short question")
    cut.text, cut.finish_reason = "28", "length"

    assert marks_of(cheap, has_restarted=False) == ["cheaper"]
    assert marks_of(cut, has_restarted=True) == ["restarted", "partial"]
    assert marks_of(None, has_restarted=True) == []
