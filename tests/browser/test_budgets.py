"""Budgets in a real browser: set one, see it fill, hide the banner, remove it."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from apps.runs.models import Budget
from apps.tenants.context import tenant_context
from tests.conftest import Cast
from tests.runs.budgeting import spend


def test_a_budget_is_set_fills_and_is_removed(committed_cast: Cast, visit: Callable[..., Page]) -> None:
    page = visit(committed_cast.alice, "/t/acme/settings/budgets/")
    page.get_by_role("link", name="Add a budget").click()
    page.get_by_label("At most, in US dollars").fill("-1")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("Write an amount above zero.")).to_be_visible()
    page.get_by_label("Whose calls").select_option(label="bob@acme.example")
    page.get_by_label("At most, in US dollars").fill("10")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("heading", name="bob@acme.example")).to_be_visible()
    expect(page.get_by_role("img", name="0 % spent")).to_be_visible()

    with tenant_context(committed_cast.acme):
        spend("8.5", user=committed_cast.bob)
    page.goto("/t/acme/")
    banner = page.get_by_role("complementary", name="Budgets")
    expect(banner).to_contain_text("80 % of the budget of bob@acme.example")
    banner.get_by_role("link", name="Budgets").click()
    expect(page.get_by_role("img", name="85 % spent")).to_be_visible()
    banner.get_by_role("button", name="Hide until the next threshold").click()
    expect(banner).to_have_count(0)
    page.reload()
    expect(page.get_by_role("img", name="85 % spent")).to_be_visible()
    expect(banner).to_have_count(0)

    page.get_by_role("button", name="Remove the budget: bob@acme.example").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.get_by_text("There is no budget yet")).to_be_visible()
    with tenant_context(committed_cast.acme):
        assert Budget.objects.count() == 0
