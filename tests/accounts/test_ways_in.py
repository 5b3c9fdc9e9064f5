"""Signing up, signing in and resetting a password: where they lead, and what they tell strangers."""

import re

import pytest
from django.core import mail
from django.test import Client
from pytest_django import Settings

from apps.tenants.context import tenant_context, user_context
from apps.tenants.models import AuditEvent, Membership, User
from tests.accounts.conftest import is_signed_in, log_in, prove
from tests.conftest import PASSWORD, Cast, signed_in

INVITATION = "/invitations/abc.def/"
DORA = {"email": "dora@initech.example", "password1": "a long enough one"}


def the_link_in(message: mail.EmailMessage) -> str:
    """The path of the one link in a mail that isn't our own address."""
    return re.search(r"http://localhost:8000(/accounts/\S{10,})", str(message.body))[1]


def test_signing_in_and_up_lead_where_one_was_going(cast: Cast) -> None:
    assert log_in(cast.alice, next="/t/acme/documents/?q=1").get("/accounts/login/?next=/t/acme/").url == "/t/acme/"

    page = Client().get(f"/accounts/login/?next={INVITATION}").content.decode()
    assert f'<input type="hidden" name="next" value="{INVITATION}">' in page
    assert "/accounts/signup/?next=%2Finvitations%2Fabc.def%2F" in page
    response = Client().post("/accounts/login/", {"login": cast.bob.email, "password": PASSWORD, "next": INVITATION})
    assert response.url == INVITATION


@pytest.mark.parametrize("place", ["https://evil.example/", "//evil.example/", "https:evil.example", "javascript:x"])
def test_they_lead_to_no_other_site(cast: Cast, place: str) -> None:
    form = {"login": cast.alice.email, "password": PASSWORD, "next": place}
    assert Client().post("/accounts/login/", form).url == "/workspaces/"

    response = Client().post("/accounts/signup/", {**DORA, "workspace_name": "Initech", "next": place})
    assert response.url == "/t/initech/"


def test_who_was_invited_signs_up_without_a_workspace(cast: Cast) -> None:
    page = Client().get(f"/accounts/signup/?next={INVITATION}").content.decode()
    assert "Create your account" in page and "workspace_name" not in page

    client = Client()
    assert client.post("/accounts/signup/", {**DORA, "next": INVITATION}).url == INVITATION

    dora = User.objects.get(email=DORA["email"])
    with user_context(dora):
        assert not Membership.unscoped.of(dora).exists()
    assert "You are in no workspace yet" in client.get("/workspaces/").content.decode()


def test_other_addresses_need_a_workspace(cast: Cast) -> None:
    response = Client().post("/accounts/signup/", {**DORA, "next": "/workspaces/?from=/invitations/"})

    assert response.status_code == 200 and not User.objects.filter(email=DORA["email"]).exists()


def test_who_signs_up_made_the_workspace(cast: Cast) -> None:
    Client().post("/accounts/signup/", {**DORA, "workspace_name": "Initech"})

    dora = User.objects.get(email=DORA["email"])
    with user_context(dora):
        initech = Membership.unscoped.of(dora).get().tenant
    with tenant_context(initech):
        event = AuditEvent.objects.get(action="workspace.created")
    assert (event.actor_id, event.actor_email) == (dora.id, dora.email)


def test_a_mandatory_confirmation_ends_where_one_was_going(cast: Cast, settings: Settings) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    client = Client()

    assert client.post("/accounts/signup/", {**DORA, "next": INVITATION}).url == "/accounts/confirm-email/"
    assert not is_signed_in(client)

    assert client.post(the_link_in(mail.outbox[0])).url == INVITATION
    assert is_signed_in(client)


def test_and_into_the_new_workspace(cast: Cast, settings: Settings) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    client = Client()
    client.post("/accounts/signup/", {**DORA, "workspace_name": "Initech"})

    assert client.post(the_link_in(mail.outbox[0])).url == "/t/initech/"


def test_a_mandatory_confirmation_tells_strangers_nothing(cast: Cast, settings: Settings) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"

    taken = Client().post("/accounts/signup/", {**DORA, "email": cast.alice.email, "workspace_name": "Initech"})
    free = Client().post("/accounts/signup/", {**DORA, "workspace_name": "Initech"})

    assert taken.status_code == free.status_code == 302 and taken.url == free.url
    assert [message.subject for message in mail.outbox] == [
        "You have an account already",
        "Confirm your e-mail address",
    ]
    assert User.objects.filter(email__iexact=cast.alice.email).count() == 1


def test_signing_in_and_resetting_tell_strangers_nothing(cast: Cast) -> None:
    def sentence(page: str) -> str:
        return re.search(r"<p>([^<]*together[^<]*)</p>", page)[1]

    form = {"password": "a guess"}
    known = Client().post("/accounts/login/", {**form, "login": cast.alice.email}).content.decode()
    unknown = Client().post("/accounts/login/", {**form, "login": "nobody@acme.example"}).content.decode()
    assert sentence(known) == sentence(unknown)

    resets = [
        Client().post("/accounts/password/reset/", {"email": email}).url
        for email in (cast.alice.email, "nobody@acme.example")
    ]
    assert resets[0] == resets[1]
    assert [message.subject for message in mail.outbox] == ["Choose a new password", "No account with this address"]


def test_a_password_is_reset_by_mail(cast: Cast) -> None:
    elsewhere = log_in(cast.alice)
    client = Client()
    client.post("/accounts/password/reset/", {"email": cast.alice.email})
    link = the_link_in(mail.outbox[0])

    form = client.get(client.get(link).url)
    response = client.post(
        form.context["action_url"], {"password1": "quite another one", "password2": "quite another one"}
    )

    assert response.url == "/accounts/password/reset/key/done/"
    assert not is_signed_in(elsewhere) and not is_signed_in(client)
    new = Client().post("/accounts/login/", {"login": cast.alice.email, "password": "quite another one"})
    assert new.status_code == 302
    assert "too old" in Client().get(link).content.decode()


def test_mails_lead_to_our_own_address_and_go_to_the_console_by_default(
    cast: Cast, settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    settings.HOSTS = ["app.corbel.example", "testserver"]

    Client(SERVER_NAME="app.corbel.example").post("/accounts/password/reset/", {"email": cast.alice.email})

    printed = capfd.readouterr().out
    assert "Subject: Choose a new password" in printed
    assert "http://localhost:8000/accounts/password/reset/key/" in printed and "app.corbel.example" not in printed


def test_addresses_are_added_confirmed_and_removed(cast: Cast) -> None:
    cast.alice.emailaddress_set.create(email=cast.alice.email, primary=True, verified=True)
    alice = prove(log_in(cast.alice))

    alice.post("/accounts/email/", {"email": "alice@home.example", "action_add": ""})
    assert alice.post(the_link_in(mail.outbox[0])).status_code == 302
    alice.post("/accounts/email/", {"email": "alice@home.example", "action_primary": ""})
    alice.post("/accounts/email/", {"email": "alice@acme.example", "action_remove": ""})

    cast.alice.refresh_from_db()
    assert cast.alice.email == "alice@home.example"
    assert list(cast.alice.emailaddress_set.values_list("email", "primary")) == [("alice@home.example", True)]
    assert [(message.subject, message.to) for message in mail.outbox[1:]] == [
        ("Your e-mail address was changed", ["alice@acme.example"]),
        ("An e-mail address was removed", ["alice@home.example"]),
    ]


def test_changing_an_address_needs_the_password_again(cast: Cast) -> None:
    cast.alice.emailaddress_set.create(email=cast.alice.email, primary=True, verified=True)

    response = signed_in(cast.alice).post("/accounts/email/", {"email": "alice@home.example", "action_add": ""})

    assert response.url.startswith("/accounts/reauthenticate/") and mail.outbox == []


def test_charlie_cannot_touch_alices_addresses(cast: Cast) -> None:
    cast.alice.emailaddress_set.create(email="alice@home.example", verified=True)
    charlie = prove(log_in(cast.charlie))

    for action in ("action_remove", "action_primary", "action_send"):
        charlie.post("/accounts/email/", {"email": "alice@home.example", action: ""})

    assert cast.alice.emailaddress_set.filter(email="alice@home.example", primary=False).exists()
    assert mail.outbox == [] and "alice@home" not in charlie.get("/accounts/email/").content.decode()


def test_the_account_page_shows_and_keeps_the_name(cast: Cast) -> None:
    alice = signed_in(cast.alice)

    assert alice.post("/accounts/", {"name": "Alice A."}).url == "/accounts/"

    page = alice.get("/accounts/").content.decode()
    assert "Alice A." in page and cast.alice.email in page and "Signed in at 1 place" in page
    cast.bob.refresh_from_db()
    assert cast.bob.name == "Bob"
