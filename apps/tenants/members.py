"""Who is in the active workspace, and as what: removing, leaving, roles, handing the workspace over.

Refused                what may not be done, as a sentence for whoever tried; `status` is HTTP's
├── NotAllowed         their role doesn't include it
└── LastOwner          the workspace would be left without an owner

Changes of one workspace's members wait for each other: what a rule has looked at stays so until it is written.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from django.db import transaction
from django.utils import timezone

from .audit import record
from .context import require_tenant_id
from .doors import COME_BACK, SHUT_OUT, close_doors
from .models import Invitation, Membership, Tenant, User
from .permissions import Permission, allowed

Role = Membership.Role


class Refused(Exception):
    status = 409


class NotAllowed(Refused):
    status = 403


class LastOwner(Refused):
    pass


@contextmanager
def one_at_a_time() -> Iterator[Tenant]:
    """A transaction that no other change of this workspace's members runs beside. Yields the workspace as it is now."""
    with transaction.atomic():
        # Not the key: rows that point at the workspace may be written meanwhile.
        yield Tenant.objects.select_for_update(no_key=True).get(pk=require_tenant_id())


def remove(membership: Membership, by: Membership) -> None:
    """End somebody else's membership. What they wrote stays in the workspace."""
    with one_at_a_time():
        membership, by = now(membership), now(by)
        if membership == by:
            raise Refused("That is you. To go, leave the workspace.")
        require_may_give(by, membership.role)
        end(membership)
        record("member.removed", membership.user, email=membership.user.email, role=membership.role)


def leave(membership: Membership) -> None:
    with one_at_a_time():
        membership = now(membership)
        end(membership)
        record("member.left", membership.user, email=membership.user.email, role=membership.role)


def change_role(membership: Membership, role: Role, by: Membership) -> None:
    with one_at_a_time():
        membership, by = now(membership), now(by)
        before = membership.role
        if role == before:
            return
        require_may_give(by, before)
        require_may_give(by, role)
        if before == Role.OWNER:
            require_another_owner(membership)
        if role == Role.OWNER:
            require_can_sign_in(membership)
        set_role(membership, role)
        record("member.role_changed", membership.user, email=membership.user.email, before=before, after=role)


def transfer_ownership(to: Membership, by: Membership) -> None:
    """`to` becomes an owner, and the owner who hands over an admin."""
    with one_at_a_time():
        to, by = now(to), now(by)
        require_may_give(by, Role.OWNER)
        if to.role == Role.OWNER:
            raise Refused(f"{to.user} is an owner already.")
        require_can_sign_in(to)
        before = to.role
        set_role(to, Role.OWNER)
        set_role(by, Role.ADMIN)
        record("ownership.transferred", to.user, email=to.user.email, before=before)


def may_give(by: Membership, role: str) -> bool:
    """Whether `by` may give that role, take it away, or offer it in an invitation."""
    return allowed(by, Permission.MANAGE_MEMBERS) and (role != Role.OWNER or allowed(by, Permission.MANAGE_OWNERS))


def require_may_give(by: Membership, role: str) -> None:
    if not allowed(by, Permission.MANAGE_MEMBERS):
        raise NotAllowed("Your role doesn’t include managing members. Ask an owner or an admin.")
    if not may_give(by, role):
        raise NotAllowed("Only an owner can make or unmake an owner. Ask one.")


def require_another_owner(membership: Membership) -> None:
    others = Membership.objects.filter(role=Role.OWNER, user__is_active=True).exclude(pk=membership.pk)
    if not others.exists():
        raise LastOwner("A workspace always has an owner, and this is the only one. Hand it over first.")


def require_can_sign_in(membership: Membership) -> None:
    if not membership.user.is_active:
        raise Refused(f"The account of {membership.user} is closed, so they can’t be an owner.")


def now(membership: Membership) -> Membership:
    """The membership as it is at this moment. Raises Refused when there is none any more."""
    found: Membership | None = Membership.objects.select_related("user").filter(pk=membership.pk).first()
    if found is None:
        raise Refused("That membership has ended meanwhile.")
    return found


def end(membership: Membership) -> None:
    if membership.role == Role.OWNER:
        require_another_owner(membership)
    Membership.objects.filter(pk=membership.pk).delete()
    withdraw_offers(membership.user, roles=list(Role))
    transaction.on_commit(partial(close_doors, membership.tenant_id, membership.user_id, code=SHUT_OUT))


def set_role(membership: Membership, role: Role) -> None:
    membership.role = role
    membership.save(update_fields=["role"])
    withdraw_offers(membership.user, roles=[each for each in Role if not may_give(membership, each)])
    transaction.on_commit(partial(close_doors, membership.tenant_id, membership.user_id, code=COME_BACK))


def withdraw_offers(inviter: User, *, roles: list[Role]) -> None:
    """Revoke the open invitations of somebody who may no longer make them: their links must not let anybody in."""
    for offer in Invitation.objects.filter(invited_by=inviter, role__in=roles, accepted_at=None, revoked_at=None):
        offer.revoked_at = timezone.now()
        offer.save(update_fields=["revoked_at"])
        record("invitation.revoked", offer, role=offer.role, because="who made it may no longer invite")
