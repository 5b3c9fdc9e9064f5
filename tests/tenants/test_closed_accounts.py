"""An account that an operator closed counts for nothing: not as an owner, not as who invited."""

import pytest
from django.test import Client

from apps.tenants import invitations, members
from apps.tenants.context import tenant_context, user_context
from apps.tenants.models import Invitation, Membership, User
from tests.conftest import PASSWORD, Cast, signed_in

Role = Membership.Role


def membership(cast: Cast, user: User) -> Membership:
    return Membership.objects.get(user=user)


def close(user: User) -> None:
    user.is_active = False
    user.save(update_fields=["is_active"])


def test_an_owner_who_cant_sign_in_is_no_owner_to_leave_behind(cast: Cast) -> None:
    with user_context(cast.alice), tenant_context(cast.acme):
        members.change_role(membership(cast, cast.bob), Role.OWNER, membership(cast, cast.alice))
        close(cast.bob)

        with pytest.raises(members.LastOwner):
            members.leave(membership(cast, cast.alice))

    assert signed_in(cast.alice).get("/t/acme/").status_code == 200


def test_who_cant_sign_in_is_made_no_owner(cast: Cast) -> None:
    close(cast.bob)
    with user_context(cast.alice), tenant_context(cast.acme):
        alice, bob = membership(cast, cast.alice), membership(cast, cast.bob)

        with pytest.raises(members.Refused, match="is closed"):
            members.transfer_ownership(bob, alice)
        with pytest.raises(members.Refused, match="is closed"):
            members.change_role(bob, Role.OWNER, alice)


def test_the_link_of_a_closed_account_lets_nobody_in(cast: Cast) -> None:
    with user_context(cast.alice), tenant_context(cast.acme):
        _, link = invitations.invite("dora@initech.example", Role.ADMIN, membership(cast, cast.alice))
    dora = User.objects.create_user("dora@initech.example", PASSWORD)
    close(cast.alice)

    refused = signed_in(dora).post("/invitations/" + link.rpartition("/invitations/")[2])

    assert refused.status_code == 410 and b"is closed" in refused.content
    assert signed_in(dora).get("/t/acme/").status_code == 404
    assert Client().get("/t/acme/").status_code == 302


def test_an_admin_doesnt_replace_an_owners_invitation(cast: Cast) -> None:
    with user_context(cast.alice), tenant_context(cast.acme):
        invitations.invite("dora@initech.example", Role.OWNER, membership(cast, cast.alice))
        members.change_role(membership(cast, cast.bob), Role.ADMIN, membership(cast, cast.alice))

        with pytest.raises(members.NotAllowed):
            invitations.invite("dora@initech.example", Role.VIEWER, membership(cast, cast.bob))

        assert Invitation.objects.get().is_open
