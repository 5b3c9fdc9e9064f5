"""What needs a real browser: passkeys, and forms that lead to a provider, under our content security policy."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from apps.tenants.models import User
from tests.accounts.conftest import factors
from tests.accounts.provider import Person, Provider
from tests.browser.conftest import Server, is_policy
from tests.conftest import PASSWORD, Cast

Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, server: Server) -> Iterator[Open]:
    """open_page(path) -> a page at localhost, whose name passkeys need. No page may break the policy or throw."""
    complaints: list[str] = []
    contexts = []

    def open_it(path: str, **options: Any) -> Page:
        context = browser.new_context(base_url=server.url.replace("127.0.0.1", "localhost"), **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: complaints.append(f"error on {page.url}: {error}"))
        page.on("console", lambda said: complaints.append(said.text) if is_policy(said) else None)
        page.goto(path)
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert complaints == []


def plug_in(page: Page, *, knows_the_user: bool = True) -> None:
    """A security key of software, in the browser's own WebAuthn."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    abilities = {"hasResidentKey": True, "hasUserVerification": True, "isUserVerified": knows_the_user}
    options = {"protocol": "ctap2", "transport": "internal", "automaticPresenceSimulation": True, **abilities}
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def give_password(page: Page, user: User) -> None:
    page.locator("input[name=login]").fill(user.email)
    page.locator("input[name=password]").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(lambda url: "/accounts/login/" not in url)


def add_passkey(page: Page, user: User) -> None:
    give_password(page, user)
    page.goto("/accounts/2fa/webauthn/add/")
    page.locator("input[name=password]").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Name").fill("Laptop")
    page.get_by_role("button", name="Add the passkey").click()
    page.wait_for_url("**/accounts/2fa/recovery-codes/")


def sign_out(page: Page) -> None:
    page.goto("/accounts/logout/")
    page.get_by_role("main").get_by_role("button", name="Sign out").click()
    page.wait_for_url(lambda url: "logout" not in url)


def test_a_passkey_signs_in_alone_and_after_a_password(open_page: Open, committed_cast: Cast) -> None:
    page = open_page("/accounts/login/")
    plug_in(page)
    add_passkey(page, committed_cast.alice)
    expect(page.get_by_label("Unused codes").get_by_role("listitem")).to_have_count(10)
    assert factors(committed_cast.alice) == ["recovery_codes", "webauthn"]

    sign_out(page)
    page.goto("/accounts/login/?next=/t/acme/documents/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page).to_have_url("/t/acme/documents/")

    sign_out(page)
    page.goto("/accounts/login/?next=/t/acme/usage/")
    give_password(page, committed_cast.alice)
    expect(page.get_by_role("heading", name="Second factor")).to_be_visible()
    page.get_by_role("button", name="Use a passkey").click()
    expect(page).to_have_url("/t/acme/usage/")


def test_a_passkey_is_renamed_and_removed_after_it_was_used_again(open_page: Open, committed_cast: Cast) -> None:
    page = open_page("/accounts/login/")
    plug_in(page)
    add_passkey(page, committed_cast.alice)
    sign_out(page)
    page.goto("/accounts/login/?next=/accounts/2fa/webauthn/")
    page.get_by_role("button", name="Sign in with a passkey").click()

    page.get_by_role("link", name="Rename").click()
    page.get_by_role("button", name="Use a passkey").click()
    page.get_by_label("Name").fill("Old laptop")
    page.get_by_role("button", name="Rename").click()
    expect(page.get_by_text("Old laptop")).to_be_visible()

    page.get_by_role("link", name="Remove").click()
    page.get_by_role("button", name="Remove it").click()
    expect(page.get_by_text("There is none yet")).to_be_visible()
    assert factors(committed_cast.alice) == []


def test_a_dialog_that_fails_is_explained(open_page: Open, committed_cast: Cast) -> None:
    page = open_page("/accounts/login/")
    plug_in(page, knows_the_user=False)

    page.get_by_role("button", name="Sign in with a passkey").click()

    expect(page.get_by_role("alert")).to_contain_text("The browser got no answer")


def test_an_account_at_github_signs_up(open_page: Open, committed_cast: Cast, provider: Provider) -> None:
    provider.person = Person()
    page = open_page("/accounts/login/")

    page.get_by_role("button", name="Continue with GitHub").click()

    expect(page.get_by_role("heading", name="New workspace")).to_be_visible()
    expect(page).to_have_url("/workspaces/new/")
    assert User.objects.get(email=provider.person.email).name == "Dora Diver"
