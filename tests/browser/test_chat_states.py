"""What the chat says of an answer that is no ordinary one: given again, refused, begun again, or switched off."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.chat.models import Conversation, Message
from apps.knowledge.add import store
from apps.knowledge.ingest import ingest
from apps.runs.models import Run
from apps.tenants.context import tenant_context
from apps.tenants.models import Flag, Tenant
from tests.conftest import Cast

from .test_story import WIDTHS, answer, ask, look, wait_until_answered

Visit = Callable[..., Page]
HANDBOOK = (
    "# Handbook\n\n## Leave\n\nEverybody at Acme gets 28 days of paid leave a year, on top of public holidays.\n\n"
    "## Travel\n\nHotels may cost up to 140 dollars a night.\n"
)


@pytest.fixture
def handbook(committed_cast: Cast, settings: object) -> Cast:
    with tenant_context(committed_cast.acme):
        ingest(store(ContentFile(HANDBOOK.encode(), name="handbook.md"), user=None).id)
    return committed_cast


def test_the_same_question_again_shows_the_mark_and_the_same_citations(visit: Visit, handbook: Cast) -> None:
    page = visit(handbook.alice, "/t/acme/")
    ask(page)
    wait_until_answered(page)
    text = answer(page).locator("[data-text]").inner_html()
    sources = answer(page).locator("[data-sources]").inner_html()
    expect(answer(page).locator("[data-notes]")).to_be_hidden()

    page.goto("/t/acme/")
    ask(page, "How many paid leave days do we get?")
    wait_until_answered(page)

    notes = answer(page).locator("[data-notes]")
    expect(notes).to_contain_text("Answered before")
    expect(notes).to_contain_text("“How many days of paid leave do we get?”")
    expect(page.locator("[data-status-line]")).to_have_text("Answer complete. Answered before")
    assert answer(page).locator("[data-text]").inner_html() == text
    assert answer(page).locator("[data-sources]").inner_html() == sources != ""
    live = notes.inner_text()
    page.reload()
    expect(notes).to_contain_text("Answered before")
    assert re.sub(r"\s+", " ", notes.inner_text()) == re.sub(r"\s+", " ", live)
    assert answer(page).locator("[data-sources]").inner_html() == sources


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_a_refusal_says_when_to_ask_again_in_the_readers_zone(visit: Visit, handbook: Cast, zone: str) -> None:
    with tenant_context(handbook.acme):
        Tenant.objects.filter(pk=handbook.acme.pk).update(tokens_per_day=1)
    page = visit(handbook.alice, "/t/acme/", timezone_id=zone, locale="en-GB")
    ask(page)

    card = page.locator("[data-failure]")
    expect(card).to_contain_text("may use 1 tokens a day")
    hour = {"Asia/Tokyo": "09:00", "America/New_York": "19:00"}[zone]
    expect(card.locator("[data-resets]")).to_contain_text(f"{hour} your time (in ")
    expect(page.locator("[data-status-line]")).to_contain_text(f"{hour} your time")
    page.reload()
    expect(card.locator("[data-resets]")).to_contain_text(f"{hour} your time (in ")


@pytest.mark.parametrize("width", WIDTHS)
def test_with_ai_off_the_page_says_so_and_history_can_be_read(visit: Visit, handbook: Cast, width: int) -> None:
    with tenant_context(handbook.acme):
        conversation = Conversation.objects.create(user=handbook.alice, title="Leave")
        question = Message.objects.create(conversation=conversation, role="user", text="How many days?")
        Message.objects.create(conversation=conversation, role="assistant", text="28 days.", in_reply_to=question)
    page = visit(handbook.alice, "/t/acme/", width=width)
    box = page.get_by_label("Your question")
    expect(box).to_be_visible()
    with tenant_context(handbook.acme):
        Flag.objects.create(tenant=handbook.acme, name="ai", is_on=False, note="Our provider has an outage.")

    ask(page)
    expect(page.locator("[data-failure]").last).to_contain_text("AI is switched off. Our provider has an outage.")
    page.reload()

    notice = page.locator("[data-switched-off]")
    expect(notice).to_contain_text("AI is switched off")
    expect(notice).to_contain_text("Our provider has an outage.")
    expect(box).to_have_count(0)
    look(page, "ai-off")
    page.goto(f"/t/acme/chat/{conversation.id}/")
    expect(page.locator("[data-answer]")).to_contain_text("28 days.")
    look(page, "ai-off-history")
    notice.get_by_role("link", name="documents").click()
    expect(page.get_by_text("Handbook").first).to_be_visible()


@pytest.mark.parametrize("width", WIDTHS)
def test_every_state_of_an_answer_can_be_looked_at(visit: Visit, handbook: Cast, width: int) -> None:
    def say(question: str, text: str, **fields: object) -> None:
        asked = Message.objects.create(conversation=conversation, role="user", text=question)
        given = {"conversation": conversation, "role": "assistant", "text": text, "in_reply_to": asked}
        Message.objects.create(**given, **fields)

    with tenant_context(handbook.acme):
        conversation = Conversation.objects.create(user=handbook.alice, title="Every state")
        ended = {"feature": "chat", "status": "ok", "provider": "openai", "finished_at": timezone.now()}
        took = {"input_tokens": 812, "output_tokens": 96, "latency_ms": 1400, "cost_usd": "0.0021"}
        run = Run.objects.create(**ended, model="gpt-5-mini", **took)
        again = Run.objects.create(
            **ended, model="gpt-5-mini", is_cached=True, saved_usd="0.0021", cost_usd=0, latency_ms=9
        )
        leave = "Everybody gets **28 days** of paid leave a year."
        say("Cached?", leave, run=again, marks=["cached"], answers="How many days of paid leave do we get?")
        say("Earlier?", leave, run=again, marks=["earlier"], answers="How much leave is there?")
        say("Begun again by a small model?", leave, run=run, marks=["restarted", "cheaper"])
        say("Stopped?", "Everybody gets", run=run, status="stopped")
        failed = {"status": "failed", "error_code": "interrupted", "error_action": "Ask again."}
        broke = "The connection to the model broke while it was answering."
        say("Partial?", "Everybody gets 28", run=run, marks=["partial"], error_message=broke, **failed)
        budget = {"error_code": "budget_spent", "error_resets_at": timezone.now() + timedelta(hours=30)}
        spent = "You have reached your daily budget of $5.00."
        action = "Wait until it begins anew, or ask an owner or admin to raise it."
        say("Refused?", "", **failed | budget | {"error_message": spent, "error_action": action})
    page = visit(handbook.alice, f"/t/acme/chat/{conversation.id}/", width=width)

    for label in ("Answered before", "An earlier answer", "Begun again", "Small model", "Stopped", "Incomplete"):
        expect(page.locator("[data-answer] .badge:visible", has_text=label)).to_have_count(1)
    expect(page.get_by_text("You can ask again on ")).to_be_visible()
    look(page, "states-end")
    page.locator("[data-question]").first.scroll_into_view_if_needed()
    look(page, "states")
    page.goto("/t/acme/settings/cache/")
    look(page, "cache-settings")
    page.goto("/t/acme/usage/")
    look(page, "usage")
