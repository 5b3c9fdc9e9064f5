"""Prompts in a real browser: written, tried beside the default, put in force, rolled back, put to an experiment."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from apps.prompts.models import PromptVersion
from apps.tenants.context import tenant_context
from tests.conftest import Cast


def test_a_bad_prompt_is_rolled_back_in_two_clicks(committed_cast: Cast, visit: Callable[..., Page]) -> None:
    page = visit(committed_cast.alice, "/t/acme/settings/prompts/")
    page.get_by_role("link", name="answer", exact=True).click()
    page.get_by_role("link", name="Edit").click()
    words = page.get_by_label("What the model is told")
    words.fill("Answer {nobody}.")
    page.get_by_role("button", name="Save as a draft").click()
    expect(page.get_by_text("Line 1: {nobody} is no variable of this prompt.")).to_be_visible()
    words.fill("Answer the people of {workspace} in rhymes.")
    page.get_by_label("What changed, and why").fill("Rhymes")
    page.get_by_role("button", name="Save as a draft").click()

    page.get_by_role("link", name="Try").click()
    page.get_by_label("Question").fill("How many days of leave do we get?")
    page.get_by_role("button", name="Try").click()
    expect(page.get_by_role("article")).to_have_count(2)
    page.get_by_role("article", name="Version 1").get_by_role("link", name="Version 1").click()
    page.get_by_role("button", name="Put in force").click()
    expect(page.get_by_text("Version 1 is in force")).to_be_visible()

    page.get_by_role("link", name="Experiment").click()
    page.get_by_label("What it is to show").fill("Do rhymes help?")
    page.get_by_role("button", name="Start the experiment").click()
    expect(page.get_by_role("heading", name="Do rhymes help?")).to_be_visible()
    page.get_by_role("button", name="Stop it").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(page.get_by_text("The experiment is over.")).to_be_visible()

    page.goto("/t/acme/settings/prompts/answer/")
    page.get_by_role("button", name="Roll back").click()
    expect(page.get_by_text("The default is in force again")).to_be_visible()
    with tenant_context(committed_cast.acme):
        assert PromptVersion.objects.live("answer").tenant_id is None
