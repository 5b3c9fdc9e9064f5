"""A link lets the holder of one address into one workspace, once; and everybody it must not let in."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.test import Client
from django.utils import timezone

from apps.tenants import invitations, members
from apps.tenants.context import tenant_context, user_context
from apps.tenants.hosts import served_at
from apps.tenants.models import AuditEvent, Domain, Invitation, Membership, Tenant, User
from config.logs import HideSecrets
from tests.conftest import PASSWORD, Cast, signed_in
from tests.tenants.test_members import at_once, path_of

Role = Membership.Role
DORA = "dora@initech.example"


@pytest.fixture
def dora(cast: Cast) -> User:
    return User.objects.create_user(DORA, PASSWORD)


def invite(cast: Cast, email: str = DORA, role: Role = Role.MEMBER) -> str:
    """The path of a fresh invitation into Acme."""
    with tenant_context(cast.acme), user_context(cast.alice):
        _, link = invitations.invite(email, role, Membership.objects.get(user=cast.alice))
    return path_of(link)


def change(cast: Cast, **fields: Any) -> None:
    with tenant_context(cast.acme):
        assert Invitation.objects.update(**fields) == 1


def roles(cast: Cast) -> dict[str, str]:
    with tenant_context(cast.acme):
        return dict(Membership.objects.values_list("user__email", "role"))


def refused(response: Any, status: int, sentence: str, cast: Cast) -> None:
    """It says that, lets nobody in and leaves the invitation as it was."""
    assert response.status_code == status
    assert sentence in response.content.decode().replace("&#x27;", "'")
    assert DORA not in roles(cast)
    with tenant_context(cast.acme):
        assert not AuditEvent.objects.filter(action="invitation.accepted").exists()


def test_alice_invites_and_a_new_person_signs_up_through_the_link(cast: Cast) -> None:
    alice = signed_in(cast.alice)

    page = alice.post("/t/acme/members/invite/", {"email": "Dora@Initech.example", "role": "viewer"})
    link = page.context["link"]
    browser = Client()
    offer = browser.get(path_of(link))
    signed_up = browser.post(
        "/accounts/signup/", {"email": DORA, "password1": "a long enough one", "next": path_of(link)}
    )
    accepting = browser.get(signed_up.url)
    accepted = browser.post(signed_up.url)

    assert link.startswith("http://localhost:8000/invitations/") and link in page.content.decode()
    assert offer.status_code == 200
    assert all(word in offer.content.decode() for word in ("alice@acme.example", "Acme", "viewer", DORA))
    assert f"/accounts/signup/?next={path_of(link).replace('/', '%2F')}" in offer.content.decode()
    assert signed_up.url == path_of(link)
    assert "Accept" in accepting.content.decode()
    assert accepted.url == "/t/acme/"
    assert browser.get("/t/acme/").status_code == 200
    assert roles(cast)[DORA] == "viewer"
    with user_context(User.objects.get(email=DORA)):  # and no workspace of her own was made
        assert Membership.unscoped.of(User.objects.get(email=DORA)).count() == 1


def test_the_secret_is_in_the_link_and_in_its_mail_alone(cast: Cast) -> None:
    page = signed_in(cast.alice).post("/t/acme/members/invite/", {"email": DORA, "role": "member"})

    secret = page.context["link"].rstrip("/").rpartition(".")[2]
    with tenant_context(cast.acme):
        row = Invitation.objects.values().get()
        events = list(AuditEvent.objects.values())
    assert len(secret) == 43
    assert secret not in str(row) and secret not in str(events)
    assert secret not in signed_in(cast.alice).get("/t/acme/members/").content.decode()
    [sent] = mail.outbox
    html = sent.alternatives[0].content
    assert sent.to == [DORA]
    assert sent.subject == "You are invited to Acme on Corbel"
    assert page.context["link"] in sent.body and page.context["link"] in html


def test_a_workspaces_name_is_no_message_to_strangers(cast: Cast) -> None:
    name = 'Win <b>now</b>: https://evil.example/x?a="1" ' + "x" * 30
    with tenant_context(cast.acme):
        Tenant.objects.filter(pk=cast.acme.pk).update(name=name)

    signed_in(cast.alice).post("/t/acme/members/invite/", {"email": DORA, "role": "member"})

    [sent] = mail.outbox
    for text in (sent.subject, sent.body, sent.alternatives[0].content):
        assert "evil.example/x" not in text and "//evil" not in text and "<b>" not in text
    assert "Win b now b https evil.example x a 1" in sent.subject
    assert len(sent.subject) < 130


def test_looking_changes_nothing(cast: Cast, dora: User) -> None:
    path = invite(cast)

    for client in (Client(), signed_in(dora), signed_in(dora)):
        assert client.get(path).status_code == 200

    assert DORA not in roles(cast)
    with tenant_context(cast.acme):
        assert Invitation.objects.get().is_open


def test_accepting_is_recorded(cast: Cast, dora: User) -> None:
    signed_in(dora).post(invite(cast))

    with tenant_context(cast.acme):
        invitation = Invitation.objects.get()
        event = AuditEvent.objects.latest("at")
    assert (invitation.accepted_by, invitation.accepted_at is not None) == (dora, True)
    assert (event.action, event.actor, event.target_name, event.details) == (
        "invitation.accepted",
        dora,
        DORA,
        {"role": "member"},
    )


def test_who_is_not_signed_in_is_asked_to_and_comes_back(cast: Cast) -> None:
    path = invite(cast)

    assert Client().post(path).url == f"/accounts/login/?next={path}"


def test_a_used_link_lets_nobody_in_again(cast: Cast, dora: User) -> None:
    path = invite(cast)
    signed_in(dora).post(path)
    with tenant_context(cast.acme), user_context(cast.alice):
        members.remove(Membership.objects.get(user=dora), Membership.objects.get(user=cast.alice))

    again = signed_in(dora).post(path)

    assert again.status_code == 410 and "has been used" in again.content.decode()
    assert Client().get(path).status_code == 410
    assert DORA not in roles(cast)


def test_an_expired_link_says_when_it_ended(cast: Cast, dora: User) -> None:
    path = invite(cast)
    change(cast, expires_at=timezone.now() - timedelta(seconds=1))

    refused(signed_in(dora).post(path), 410, "This invitation expired on", cast)
    refused(Client().get(path), 410, "This invitation expired on", cast)


def test_a_revoked_link_is_dead(cast: Cast, dora: User) -> None:
    path = invite(cast)
    with tenant_context(cast.acme):
        open_one = Invitation.objects.get()

    signed_in(cast.alice).post(f"/t/acme/members/invitations/{open_one.id}/revoke/")
    again = signed_in(cast.alice).post(f"/t/acme/members/invitations/{open_one.id}/revoke/")

    refused(signed_in(dora).post(path), 410, "withdrawn", cast)
    assert again.status_code == 409
    with tenant_context(cast.acme):
        assert AuditEvent.objects.filter(action="invitation.revoked").count() == 1


def test_inviting_again_replaces_the_link(cast: Cast, dora: User) -> None:
    first, second = invite(cast), invite(cast, role=Role.ADMIN)

    refused(signed_in(dora).post(first), 410, "replaced by a newer one", cast)
    assert signed_in(dora).post(second).url == "/t/acme/"
    assert roles(cast)[DORA] == "admin"


def test_another_account_is_told_what_to_do(cast: Cast, dora: User) -> None:
    path = invite(cast)

    for send in (signed_in(cast.charlie).get, signed_in(cast.charlie).post):
        response = send(path)

        refused(response, 403, "This invitation is for dora@initech.example", cast)
        assert "Sign out, and come back here" in response.content.decode()
    signing_out = signed_in(cast.charlie).post("/accounts/logout/", {"next": path})

    assert signing_out.url == path
    assert "charlie@globex.example" not in roles(cast)
    assert signed_in(dora).post(path).url == "/t/acme/"  # it is still good for whom it is for


def test_addresses_compare_in_any_case(cast: Cast, dora: User) -> None:
    User.objects.filter(pk=dora.pk).update(email="Dora@INITECH.example")

    assert signed_in(dora).post(invite(cast, "DORA@initech.EXAMPLE")).url == "/t/acme/"


def test_where_addresses_must_be_confirmed_an_unconfirmed_one_joins_nothing(
    cast: Cast, dora: User, settings: Any
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    path = invite(cast)
    address = EmailAddress.objects.create(user=dora, email=DORA, primary=True, verified=False)

    refused(signed_in(dora).post(path), 403, "Confirm that dora@initech.example is yours", cast)

    EmailAddress.objects.filter(pk=address.pk).update(verified=True)
    assert signed_in(dora).post(path).url == "/t/acme/"


def test_a_member_is_told_so(cast: Cast) -> None:
    path = invite(cast)
    change(cast, email="bob@acme.example")

    response = signed_in(cast.bob).post(path)

    assert response.status_code == 409
    assert "You are a member of Acme already" in response.content.decode()
    assert "/t/acme/" in response.content.decode()  # the way in
    assert roles(cast)["bob@acme.example"] == "member"


@pytest.mark.parametrize("status", ["suspended", "leaving"])
def test_a_closed_workspace_takes_nobody_in(cast: Cast, dora: User, status: str) -> None:
    path = invite(cast)
    with tenant_context(cast.acme):
        Tenant.objects.filter(pk=cast.acme.pk).update(status=status)

    refused(signed_in(dora).post(path), 409, "closed at present", cast)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token, cast: "x",
        lambda token, cast: token[:-1],
        lambda token, cast: token + "A",
        lambda token, cast: token[:-1] + ("A" if token[-1] != "A" else "B"),
        lambda token, cast: token.upper(),
        lambda token, cast: cast.globex.id.hex + token[32:],  # the right secret at another workspace
        lambda token, cast: "0" * 32 + token[32:],
        lambda token, cast: token.partition(".")[2],
        lambda token, cast: "%00" + token,
        lambda token, cast: f"{cast.acme.id}.{'a' * 43}",
    ],
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_link_that_isnt_one_is_unknown(
    cast: Cast, dora: User, spoil: Callable[[str, Cast], str], method: str
) -> None:
    token = invite(cast).split("/")[2]

    response = getattr(signed_in(dora), method)(f"/invitations/{spoil(token, cast)}/")

    refused(response, 404, "There is no such invitation", cast)
    assert "Acme" not in response.content.decode()


def test_a_member_is_not_invited(cast: Cast) -> None:
    response = signed_in(cast.alice).post("/t/acme/members/invite/", {"email": "BOB@acme.example", "role": "admin"})

    assert response.status_code == 409
    assert "bob@acme.example is a member already" in response.content.decode()
    assert mail.outbox == [] and roles(cast)["bob@acme.example"] == "member"


@pytest.mark.parametrize(
    "fields",
    [
        {"email": "no address", "role": "member"},
        {"email": "", "role": "member"},
        {"email": "a@b.example\nBcc: c@d.example", "role": "member"},
        {"email": DORA, "role": "king"},
        {"email": DORA},
    ],
)
def test_a_bad_form_invites_nobody(cast: Cast, fields: dict[str, str]) -> None:
    response = signed_in(cast.alice).post("/t/acme/members/invite/", fields)

    assert response.status_code == 422
    assert mail.outbox == []
    with tenant_context(cast.acme):
        assert Invitation.objects.count() == 0


def test_open_invitations_are_few(cast: Cast) -> None:
    make_many(cast, invitations.MOST_OPEN)

    again = signed_in(cast.alice).post("/t/acme/members/invite/", {"email": "0@x.example", "role": "member"})
    one_more = signed_in(cast.alice).post("/t/acme/members/invite/", {"email": DORA, "role": "member"})

    assert again.status_code == 200  # it replaces one
    assert one_more.status_code == 409 and "50 invitations are open" in one_more.content.decode()
    assert [sent.to for sent in mail.outbox] == [["0@x.example"]]


def test_invitations_of_a_day_are_few(cast: Cast) -> None:
    make_many(cast, invitations.MOST_A_DAY, revoked_at=timezone.now())

    response = signed_in(cast.alice).post("/t/acme/members/invite/", {"email": DORA, "role": "member"})

    assert response.status_code == 409 and "within a day" in response.content.decode()


def make_many(cast: Cast, number: int, **fields: Any) -> None:
    with tenant_context(cast.acme):
        Invitation.objects.bulk_create(
            Invitation(
                tenant=cast.acme,
                email=f"{each}@x.example",
                token_digest=str(each),
                expires_at=timezone.now() + timedelta(days=1),
                **fields,
            )
            for each in range(number)
        )


def test_a_mail_that_cant_be_sent_leaves_the_link_to_copy(cast: Cast, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9  # nobody listens there

    page = signed_in(cast.alice).post("/t/acme/members/invite/", {"email": DORA, "role": "member"})

    assert page.status_code == 200
    assert "hand over the link yourself" in page.content.decode()
    assert Client().get(path_of(page.context["link"])).status_code == 200


def test_one_link_used_twice_at_once_lets_in_once(committed_cast: Cast) -> None:
    dora = User.objects.create_user(DORA, PASSWORD)
    token = invite(committed_cast).split("/")[2]

    outcomes = at_once(*[lambda: invitations.accept(token, dora)] * 4)

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Closed", "Closed", "Closed", "Membership"]
    with tenant_context(committed_cast.acme):
        assert Membership.objects.filter(user=dora).count() == 1
        assert AuditEvent.objects.filter(action="invitation.accepted").count() == 1


def test_revoking_and_accepting_at_once_end_in_one_of_both(committed_cast: Cast) -> None:
    dora = User.objects.create_user(DORA, PASSWORD)
    token = invite(committed_cast).split("/")[2]
    with tenant_context(committed_cast.acme):
        invitation, alice = Invitation.objects.get(), Membership.objects.get(user=committed_cast.alice)

    def revoke() -> None:
        with tenant_context(committed_cast.acme), user_context(committed_cast.alice):
            invitations.revoke(invitation, alice)

    outcomes = at_once(lambda: invitations.accept(token, dora), revoke)

    is_member, was_revoked = isinstance(outcomes[0], Membership), outcomes[1] is None
    assert is_member != was_revoked
    assert (DORA in roles(committed_cast)) == is_member


@pytest.mark.parametrize(
    "line",
    [
        '10.0.0.1:1 - "GET /invitations/{} HTTP/1.1" 200',
        "Forbidden: /invitations/{}/",
        "GET /accounts/login/?next=%2Finvitations%2F{}%2F&email=d",
        "GET /accounts/login/?next=/invitations/{}/",
        "GET /accounts/password/reset/key/2-{}/",
        '10.0.0.1:1 - "GET /t/acme/search/?q={} HTTP/1.1" 200',
    ],
)
def test_no_link_is_logged(line: str, cast: Cast) -> None:
    token = invite(cast).split("/")[2]
    records = [
        logging.LogRecord("x", logging.INFO, "", 0, line.format(token), None, None),
        logging.LogRecord("x", logging.INFO, "", 0, "%s %d", (line.format(token), 200), None),
    ]

    for each in records:
        assert HideSecrets().filter(each)

        assert token.partition(".")[2] not in each.getMessage()
        assert "…" in each.getMessage()


def test_the_server_logs_no_link(cast: Cast, dora: User, capfd: pytest.CaptureFixture[str]) -> None:
    token = invite(cast).split("/")[2]

    signed_in(cast.charlie).post(f"/invitations/{token}/")
    Client(enforce_csrf_checks=True).post(f"/invitations/{token}/")

    written = capfd.readouterr()
    assert token.partition(".")[2] not in written.err + written.out


def test_from_a_workspaces_own_domain_the_link_leads_to_the_main_host(cast: Cast) -> None:
    with tenant_context(cast.acme):
        domain = Domain.objects.create(domain="ask.acme.example", verified_at=timezone.now())

    with served_at(domain):
        path = invite(cast)

    assert Client().get(path).status_code == 200
