"""Choosing a plan in a browser, where nobody is charged."""

from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.billing.models import Subscription
from apps.tenants.context import tenant_context
from tests.conftest import Cast


def test_a_plan_is_chosen_changed_and_owed(visit: Callable[..., Page], committed_cast: Cast) -> None:
    page = visit(committed_cast.alice, "/t/acme/settings/plan/")
    expect(page.get_by_text("Local mode: nobody is charged.").first).to_be_visible()

    pro = page.get_by_role("article", name="Pro")
    pro.get_by_label("Seats").fill("4")
    pro.get_by_label("Seats").press("Enter")
    now = page.get_by_role("region", name="Pro")
    expect(now.get_by_text("On trial")).to_be_visible()
    expect(now.get_by_text("2 of 4")).to_be_visible()

    page.get_by_role("article", name="Free").get_by_role("button", name="Change to Free later").click()
    page.get_by_role("dialog").get_by_role("button", name="Change later").click()
    expect(now.get_by_text("then Free.")).to_be_visible()
    page.get_by_role("button", name="Stay on Pro").click()
    expect(now.get_by_text("Free until")).to_be_visible()

    with tenant_context(committed_cast.acme):
        at = timezone.now()
        Subscription.objects.update(status="past_due", past_due_since=at, next_payment_at=at + timedelta(days=3))
    page.set_viewport_size({"width": 390, "height": 844})
    page.reload()
    banner = page.get_by_role("complementary", name="Payment")
    expect(banner.get_by_text("The last payment failed")).to_be_visible()
    expect(banner.get_by_role("button", name="Pay or change the card")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
