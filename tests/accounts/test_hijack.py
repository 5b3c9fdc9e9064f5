"""Accounts that somebody made with another person's address: when that person comes, nobody else is in them."""

import json
from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.core import mail
from django.test import Client
from redis import Redis

from apps.tenants import doors, invitations
from apps.tenants.context import tenant_context, user_context
from apps.tenants.models import Membership, User
from tests.accounts.conftest import code, factors, is_signed_in, log_in, prove, with_app
from tests.accounts.provider import Provider
from tests.accounts.test_social import configured, go_there_and_back  # noqa: F401  (a fixture)
from tests.accounts.test_ways_in import the_link_in
from tests.conftest import PASSWORD, Cast

VICTIM, EVIL, CEO = "victim@acme.example", "mallory@evil.example", "ceo@acme.example"
NEW = "quite another one"
Role = Membership.Role


def sign_up(email: str) -> tuple[Client, User]:
    client = Client()
    client.post("/accounts/signup/", {"email": email, "password1": PASSWORD, "workspace_name": "Evil"})
    mail.outbox.clear()
    return client, User.objects.get(email=email)


def claim(user: User, email: str, *, verified: bool = False, primary: bool = False) -> None:
    user.emailaddress_set.create(email=email, verified=verified, primary=primary)


def addresses(user: User) -> list[tuple[str, bool, bool]]:
    return sorted(user.emailaddress_set.values_list("email", "verified", "primary"))


def ask_for_a_key(email: str) -> list[str]:
    """Who got it."""
    mail.outbox.clear()
    Client().post("/accounts/password/reset/", {"email": email})
    return mail.outbox[-1].to


def redeem() -> None:
    client = Client()
    form = client.get(client.get(the_link_in(mail.outbox[-1])).url)
    response = client.post(form.context["action_url"], {"password1": NEW, "password2": NEW})
    assert response.url == "/accounts/password/reset/key/done/"


def invite(cast: Cast, email: str, role: Role) -> str:
    """The path of the link, as Alice would copy it."""
    with tenant_context(cast.acme), user_context(cast.alice):
        _, link = invitations.invite(email, role, Membership.objects.get(user=cast.alice))
    return link.removeprefix(settings.PUBLIC_URL)


def test_an_unconfirmed_account_takes_no_further_address(cast: Cast) -> None:
    mallory, account = sign_up(VICTIM)

    response = prove(mallory).post("/accounts/email/", {"action_add": "", "email": EVIL})

    assert "Confirm the address you have first" in response.content.decode()
    assert addresses(account) == [(VICTIM, False, True)] and mail.outbox == []


def test_an_address_that_waits_for_its_confirmation_is_the_only_one(cast: Cast) -> None:
    claim(cast.alice, cast.alice.email, verified=True, primary=True)
    alice = prove(log_in(cast.alice))

    alice.post("/accounts/email/", {"action_add": "", "email": "alice@home.example"})
    alice.post("/accounts/email/", {"action_add": "", "email": "alice@work.example"})

    assert [email for email, *_ in addresses(cast.alice)] == [cast.alice.email, "alice@home.example"]


def test_a_reset_takes_the_account_from_whoever_claimed_the_address(cast: Cast) -> None:
    """Even of one that has a second, confirmed address, which can't come to be any more."""
    mallory, account = sign_up(VICTIM)
    claim(account, EVIL, verified=True)

    assert ask_for_a_key(VICTIM) == [VICTIM]
    redeem()

    assert addresses(account) == [(VICTIM, True, True)] and not is_signed_in(mallory)
    victim = Client()
    assert victim.post("/accounts/login/", {"login": VICTIM, "password": NEW}).status_code == 302
    assert victim.post(invite(cast, VICTIM, Role.MEMBER)).url == "/t/acme/"
    assert ask_for_a_key(EVIL) == [EVIL] and mail.outbox[-1].subject == "No account with this address"


def test_the_key_of_an_unconfirmed_account_goes_to_its_own_address_alone(cast: Cast) -> None:
    _, account = sign_up(VICTIM)
    claim(account, EVIL, verified=True)

    assert ask_for_a_key(EVIL) == [VICTIM]


def test_the_social_login_that_made_the_account_ends_with_the_reset(cast: Cast, provider: Provider) -> None:
    provider.person.email, provider.person.verified = VICTIM, False
    go_there_and_back(Client())
    account = User.objects.get(email=VICTIM)
    assert SocialAccount.objects.filter(user=account).exists()

    assert ask_for_a_key(VICTIM) == [VICTIM]
    redeem()

    mallory = Client()
    go_there_and_back(mallory)
    assert not is_signed_in(mallory) and not SocialAccount.objects.exists()
    assert addresses(account) == [(VICTIM, True, True)]


def test_a_confirmed_account_keeps_everything_at_a_reset(cast: Cast) -> None:
    """By whichever confirmed address; an unconfirmed one gets no key, and is not confirmed by another's."""
    claim(cast.alice, cast.alice.email, verified=True, primary=True)
    claim(cast.alice, "alice@home.example", verified=True)
    claim(cast.alice, CEO)
    SocialAccount.objects.create(user=cast.alice, provider="github", uid="1")
    before = addresses(cast.alice)

    assert ask_for_a_key(CEO) == [cast.alice.email]
    assert ask_for_a_key("alice@home.example") == ["alice@home.example"]
    redeem()

    assert addresses(cast.alice) == before and SocialAccount.objects.filter(user=cast.alice).exists()


def test_a_reset_takes_no_second_factor_away(cast: Cast) -> None:
    """Of an account made on the command line, which has no row of its address until a key is asked for."""
    secret = with_app(cast.alice)

    assert ask_for_a_key(cast.alice.email) == [cast.alice.email]
    redeem()

    assert addresses(cast.alice) == [(cast.alice.email, True, True)] and factors(cast.alice) == ["totp"]
    client = Client()
    client.post("/accounts/login/", {"login": cast.alice.email, "password": NEW})
    assert not is_signed_in(client)
    client.post("/accounts/2fa/authenticate/", {"code": code(secret)})
    assert is_signed_in(client)


def test_nobody_makes_an_unconfirmed_address_theirs_and_takes_its_invitation(cast: Cast) -> None:
    mallory, account = sign_up(EVIL)
    prove(mallory)

    for action in ("action_add", "action_primary"):
        mallory.post("/accounts/email/", {action: "", "email": CEO})
    response = mallory.post(invite(cast, CEO, Role.ADMIN))

    assert response.status_code == 403
    assert addresses(account) == [(EVIL, False, True)]
    with tenant_context(cast.acme):
        assert not Membership.objects.filter(user=account).exists()


def test_nor_one_that_waits_for_its_confirmation(cast: Cast) -> None:
    mallory, account = sign_up(EVIL)
    account.emailaddress_set.update(verified=True)
    prove(mallory).post("/accounts/email/", {"action_add": "", "email": CEO})
    assert addresses(account) == [(CEO, False, False), (EVIL, True, True)]

    mallory.post("/accounts/email/", {"action_primary": "", "email": CEO})
    mallory.post("/accounts/email/", {"action_remove": "", "email": EVIL})

    assert addresses(account) == [(CEO, False, False), (EVIL, True, True)]
    assert mallory.post(invite(cast, CEO, Role.ADMIN)).status_code == 403


def test_nor_one_that_a_provider_names_besides(cast: Cast, provider: Provider) -> None:
    provider.person.email, provider.person.verified, provider.person.unconfirmed = EVIL, False, (CEO,)
    mallory = Client()
    go_there_and_back(mallory)
    account = User.objects.get(email=EVIL)

    mallory.post("/accounts/email/", {"action_primary": "", "email": CEO})

    assert addresses(account) == [(EVIL, False, True)]
    assert mallory.post(invite(cast, CEO, Role.ADMIN)).status_code == 403


def test_every_account_that_a_provider_makes_has_its_address_to_confirm(cast: Cast, provider: Provider) -> None:
    """Though the profile shows one that waits at another account."""
    claim(cast.charlie, CEO)
    provider.person.email, provider.person.verified, provider.person.shown = EVIL, False, CEO

    go_there_and_back(Client())

    assert addresses(User.objects.get(email=EVIL)) == [(EVIL, False, True)]


def reset(user: User) -> None:
    ask_for_a_key(user.email)
    redeem()


def change(user: User) -> None:
    form = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
    assert log_in(user).post("/accounts/password/change/", form).status_code == 302


def first(user: User) -> None:
    client = log_in(user)
    user.set_unusable_password()
    user.save()
    client.force_login(user)
    assert client.post("/accounts/password/set/", {"password1": NEW, "password2": NEW}).status_code == 302


@pytest.mark.parametrize("get_a_password", [reset, change, first])
def test_a_new_password_shuts_the_sockets_of_its_user(committed_cast: Cast, get_a_password: Any) -> None:
    with Redis.from_url(settings.REDIS_URL) as redis, redis.pubsub() as subscription:
        subscription.subscribe(doors.CHANNEL)
        assert subscription.get_message(timeout=5)["type"] == "subscribe"

        get_a_password(committed_cast.alice)
        doors.close_doors(user_id=committed_cast.charlie.pk)  # the last to be heard

        said: list[dict[str, Any]] = []
        while not said or said[-1]["whose"] != {"user": str(committed_cast.charlie.pk)}:
            message = subscription.get_message(timeout=5)
            assert message, said
            said.append(json.loads(message["data"]))
    users = [each for each in said[:-1] if "user" in each["whose"]]
    assert users == [{"whose": {"user": str(committed_cast.alice.pk)}, "code": doors.COME_BACK}]
