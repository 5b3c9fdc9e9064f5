"""An invited person joins, and is put out again while their page is open."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.tenants import invitations, members
from apps.tenants.context import tenant_context, user_context
from apps.tenants.models import Invitation, Membership, User
from tests.browser.conftest import Server
from tests.browser.test_story import WIDTHS, keep_screenshot, look
from tests.conftest import PASSWORD, Cast

Visit = Callable[..., Page]
Role = Membership.Role
DORA = "dora@initech.example"


def invite(page: Page, email: str, role: str) -> str:
    """Invites through the form, copies the link and returns it."""
    page.get_by_label("Invite by e-mail").fill(email)
    page.locator("#invite-role").select_option(role)
    page.get_by_role("button", name="Invite", exact=True).click()
    link = page.get_by_label("Link of the invitation")
    expect(link).to_be_visible()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == link.input_value()
    return link.input_value()


def test_a_new_person_joins_by_a_link_and_is_removed_with_their_page_open(
    visit: Visit, server: Server, committed_cast: Cast
) -> None:
    permissions = ["clipboard-read", "clipboard-write"]
    alices = visit(committed_cast.alice, "/t/acme/", permissions=permissions)
    alices.get_by_role("link", name="Members").click()
    link = invite(alices, DORA, "viewer")
    assert link.startswith(server.url + "/invitations/")

    doras = visit(None, link)
    expect(doras.get_by_role("heading", name="Join Acme")).to_be_visible()
    doras.get_by_role("link", name="Create an account").click()
    expect(doras.locator("input[name=email]")).to_have_value(DORA)
    assert doras.locator("input[name=workspace_name]").count() == 0
    doras.locator("input[name=password1]").fill("a long enough one")
    doras.locator("form button[type=submit]").first.click()
    doras.get_by_role("button", name="Accept and open Acme").click()
    expect(doras).to_have_url(re.compile(r"/t/acme/$"))
    expect(doras.get_by_label("Your question")).to_be_visible()
    doras.goto("/t/acme/members/")
    expect(doras.locator("#members")).to_contain_text("alice@acme.example")
    assert doras.get_by_role("button", name="Invite", exact=True).count() == 0
    with doras.expect_websocket():
        doras.goto("/t/acme/")

    alices.goto("/t/acme/members/")
    alices.get_by_role("button", name=f"Actions for {DORA}").click()
    alices.get_by_role("button", name="Remove from Acme").click()
    alices.locator("[data-confirm-dialog]").get_by_role("button", name="Remove").click()

    expect(alices.locator("#members")).not_to_contain_text(DORA)
    expect(doras.get_by_text("You no longer have access here")).to_be_visible(timeout=2_000)
    keep_screenshot(doras, "removed-while-open")
    assert doras.request.get("/t/acme/").status == 404
    assert visit(None, link).get_by_text("has been used").is_visible()


def test_a_role_is_changed_and_the_last_owner_is_told_why_not(visit: Visit, committed_cast: Cast) -> None:
    page = visit(committed_cast.alice, "/t/acme/members/")

    role, save = page.get_by_label("Role of Bob", exact=True), page.get_by_label("Save the role of Bob")
    expect(save).to_be_hidden()
    role.select_option("viewer")
    with page.expect_response("**/role/"):
        save.click()
    expect(save).to_be_hidden()
    expect(role).to_have_value("viewer")
    page.get_by_role("button", name="Leave Acme").click()
    page.locator("[data-confirm-dialog]").get_by_role("button", name="Leave").click()

    expect(page.get_by_role("alert")).to_contain_text("Hand it over first")
    page.get_by_role("button", name="Actions for Bob").click()
    page.get_by_role("button", name="Hand the workspace over").click()
    page.locator("[data-confirm-dialog]").get_by_role("button", name="Hand over").click()
    expect(page.get_by_text("Bob owns Acme now, and you are an admin.")).to_be_visible()
    with tenant_context(committed_cast.acme):
        roles = dict(Membership.objects.values_list("user__email", "role"))
    assert roles == {"alice@acme.example": "admin", "bob@acme.example": "owner"}


def test_a_page_whose_rights_are_gone_loads_anew_when_it_is_used(visit: Visit, committed_cast: Cast) -> None:
    with tenant_context(committed_cast.acme), user_context(committed_cast.alice):
        alice = Membership.objects.get(user=committed_cast.alice)
        bob = Membership.objects.get(user=committed_cast.bob)
        members.change_role(bob, Role.ADMIN, alice)
    page = visit(committed_cast.bob, "/t/acme/members/")
    expect(page.get_by_label("Invite by e-mail")).to_be_visible()

    with tenant_context(committed_cast.acme), user_context(committed_cast.alice):
        members.change_role(bob, Role.MEMBER, alice)
    page.get_by_label("Invite by e-mail").fill(DORA)
    page.get_by_role("button", name="Invite", exact=True).click()

    expect(page.get_by_label("Invite by e-mail")).to_have_count(0)
    expect(page.locator("#members")).to_contain_text("bob@acme.example")


@pytest.mark.parametrize("width", WIDTHS)
def test_members_and_invitations_fit_a_phone_and_a_desk_in_light_and_dark(
    visit: Visit, committed_cast: Cast, width: int
) -> None:
    people = [
        ("Marguerite Duval-Fontaine", "marguerite.duval-fontaine@atelier-du-chene.example", Role.ADMIN),
        ("", "sam@acme.example", Role.VIEWER),
    ]
    with tenant_context(committed_cast.acme), user_context(committed_cast.alice):
        for name, email, role in people:
            Membership.objects.create(user=User.objects.create_user(email, PASSWORD, name=name), role=role)
        owner = Membership.objects.get(user=committed_cast.alice)
        for email in ("erin@acme.example", "old@acme.example"):
            _, link = invitations.invite(email, Role.MEMBER, owner)
        Invitation.objects.filter(email="old@acme.example").update(expires_at=timezone.now() - timedelta(days=2))

    page = visit(
        committed_cast.alice,
        "/t/acme/members/",
        width=width,
        permissions=["clipboard-read", "clipboard-write"],
    )
    link = invite(page, DORA, "admin")
    look(page, "members-link")
    page.get_by_text("What each role may do").click()
    page.get_by_text("What each role may do").scroll_into_view_if_needed()
    look(page, "members-roles")
    page.goto("/t/acme/members/")
    look(page, "members")
    page.get_by_role("button", name="Actions for Bob").click()
    look(page, "members-menu")
    look(visit(committed_cast.charlie, link, width=width), "invitation-wrong-address")
    look(visit(committed_cast.bob, "/t/acme/members/", width=width), "members-as-member")
    look(visit(None, link, width=width), "invitation")
    look(visit(None, link[:-3] + "/", width=width), "invitation-unknown")
