"""Invitations: a link that lets the holder of one e-mail address into one workspace, once.

Refused
├── Unknown         no such link
├── Closed          used, revoked, replaced, expired
└── WrongAddress    the account that holds the link isn't the one invited

The link carries the workspace's id, because it is opened before any workspace is active, and 32 random bytes, of which
the row has the SHA-256 only. It is looked up by that digest: how long the comparison takes tells nothing about them.

The link can be copied, so holding it doesn't prove the address. It proves that somebody who may invite has handed it
over, to be used by the account of that address and no other. What an account's address is worth is the installation's
choice: with EMAIL_VERIFICATION=mandatory it must be confirmed, otherwise it is what they signed up with.
"""

import hashlib
import logging
import re
import secrets
from datetime import timedelta
from smtplib import SMTPException
from uuid import UUID

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.mail import send_mail
from django.db.models import QuerySet
from django.template.loader import render_to_string
from django.utils import timezone

from .audit import record
from .context import tenant_context, tenant_id_context, user_context
from .members import Refused, now, one_at_a_time, require_may_give
from .models import Invitation, Membership, Tenant, User
from .templatetags.workspace import reverse_under

log = logging.getLogger(__name__)

MOST_OPEN = 50
MOST_A_DAY = 100
MAILED_NAME_CHARS = 60
TOKEN = re.compile(r"([0-9a-f]{32})\.([A-Za-z0-9_-]{43})")


class Unknown(Refused):
    status = 404


class Closed(Refused):
    status = 410


class WrongAddress(Refused):
    status = 403


def invite(email: str, role: Membership.Role, by: Membership) -> tuple[Invitation, str]:
    """An invitation into the active workspace, and its link, which nobody can make again.

    One that is open for the same address is replaced: its link ends. Raises Refused.
    """
    email, secret = email.strip().lower(), secrets.token_urlsafe(32)
    with one_at_a_time() as tenant:
        require_may_give(now(by), role)
        if Membership.objects.filter(user__email__iexact=email).exists():
            raise Refused(f"{email} is a member already.")
        before = waiting().filter(email=email)
        for offer in before:
            require_may_give(now(by), offer.role)
        replaced = before.update(revoked_at=timezone.now())
        require_room()
        require_seat(tenant, taken=Membership.objects.count() + open_now().count())
        invitation = Invitation.objects.create(
            email=email,
            role=role,
            invited_by=by.user,
            token_digest=digest(secret),
            expires_at=timezone.now() + timedelta(days=settings.INVITATION_DAYS),
        )
        record("invitation.created", invitation, role=role, replaced=bool(replaced))
    path = reverse_under("/", settings.ROOT_URLCONF, "invitation", (f"{tenant.id.hex}.{secret}",))
    return invitation, settings.PUBLIC_URL + path


def waiting() -> "QuerySet[Invitation]":
    """The active workspace's invitations that nobody accepted or revoked, the newest first. Some may have expired."""
    return Invitation.objects.filter(accepted_at=None, revoked_at=None).order_by("-created_at")


def open_now() -> "QuerySet[Invitation]":
    """Those of the waiting ones that haven't expired: each holds a seat."""
    return waiting().filter(expires_at__gt=timezone.now())


def require_seat(tenant: Tenant, *, taken: int) -> None:
    if tenant.seats is not None and taken >= tenant.seats:
        raise Refused(
            f"All {tenant.seats} seats are taken, counting open invitations. Revoke one, remove somebody, or have an "
            "owner add seats in Settings, Plan."
        )


def require_room() -> None:
    at = timezone.now()
    if open_now().count() >= MOST_OPEN:
        raise Refused(f"{MOST_OPEN} invitations are open. Revoke one, or wait until some are accepted.")
    if Invitation.objects.filter(created_at__gt=at - timedelta(days=1)).count() >= MOST_A_DAY:
        raise Refused(f"{MOST_A_DAY} invitations were sent within a day. Invite more tomorrow.")


def send(invitation: Invitation, link: str) -> bool:
    """Mail the link to whom it is for. False when the mail could not be handed over: the link can be copied."""
    context = {
        "workspace_name": plain(invitation.tenant.name),
        "inviter": invitation.invited_by.email if invitation.invited_by else "",
        "invitation": invitation,
        "link": link,
    }
    text, html = (render_to_string(f"tenants/email/invitation.{kind}", context) for kind in ("txt", "html"))
    subject = f"You are invited to {context['workspace_name']} on Corbel"
    try:
        send_mail(subject, text, None, [invitation.email], html_message=html)
    except (SMTPException, OSError):
        log.exception("invitation %s was not mailed", invitation.pk)
        return False
    return True


def plain(name: str) -> str:
    """A workspace's name for a mail in our name to a stranger: short, one line, and no link."""
    words = re.sub(r"[^\w\s&'’,.()+-]", " ", name).split()
    return " ".join(words)[:MAILED_NAME_CHARS]


def revoke(invitation: Invitation, by: Membership) -> None:
    with one_at_a_time():
        require_may_give(now(by), invitation.role)
        if not waiting().filter(pk=invitation.pk).update(revoked_at=timezone.now()):
            raise Refused("That invitation has been accepted or revoked meanwhile.")
        record("invitation.revoked", invitation, role=invitation.role)


def find(token: str) -> Invitation:
    """The invitation that a link's token belongs to, with its workspace and inviter. Raises Unknown."""
    match = TOKEN.fullmatch(token)
    if match:
        with tenant_id_context(UUID(match[1])):
            all_of_it = Invitation.objects.select_related("tenant", "invited_by")
            if invitation := all_of_it.filter(token_digest=digest(match[2])).first():
                return invitation
    raise Unknown("There is no such invitation. Check that the link is complete, or ask for a new one.")


def require_open(invitation: Invitation) -> None:
    """Raises Closed, saying why; Refused while the workspace takes nobody in."""
    if invitation.accepted_at:
        raise Closed("This invitation has been used. It lets one person in, once.")
    if invitation.revoked_at:
        raise Closed("This invitation was withdrawn, or replaced by a newer one. Use the newest link, or ask for one.")
    if invitation.invited_by and not invitation.invited_by.is_active:
        raise Closed("The account of who invited you is closed. Ask somebody else in the workspace for an invitation.")
    if not invitation.is_open:
        raise Closed(f"This invitation expired on {invitation.expires_at:%-d %B %Y}. Ask for a new one.")
    if not invitation.tenant.is_active:
        raise Refused(f"{invitation.tenant.name} is closed at present, so nobody can join it.")


def require_theirs(invitation: Invitation, user: User) -> None:
    """Raises WrongAddress, or Refused when `user` is in the workspace already."""
    with tenant_context(invitation.tenant):
        if Membership.objects.filter(user=user).exists():
            raise Refused(f"You are a member of {invitation.tenant.name} already.")
    if user.email.lower() != invitation.email:
        raise WrongAddress(
            f"This invitation is for {invitation.email}, and you are signed in as {user.email}. "
            f"Sign in as {invitation.email}, or ask for an invitation to {user.email}."
        )
    if settings.ACCOUNT_EMAIL_VERIFICATION == "mandatory" and not (
        EmailAddress.objects.filter(user=user, email__iexact=invitation.email, verified=True).exists()
    ):
        raise WrongAddress(f"Confirm that {user.email} is yours first: open the link we mailed you, then come back.")


def accept(token: str, user: User) -> Membership:
    """Make `user` a member. Raises Refused, having written nothing."""
    found = find(token)
    with user_context(user), tenant_context(found.tenant), one_at_a_time() as tenant:
        invitation = find(token)  # as it is now that nobody else can change it
        require_open(invitation)
        require_theirs(invitation, user)
        require_seat(tenant, taken=Membership.objects.count())
        membership = Membership.objects.create(tenant=tenant, user=user, role=invitation.role)
        invitation.accepted_at, invitation.accepted_by = timezone.now(), user
        invitation.save(update_fields=["accepted_at", "accepted_by"])
        record("invitation.accepted", invitation, role=invitation.role)
    return membership


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
