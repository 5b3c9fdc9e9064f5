"""Where allauth asks us: what a sign-up leads to, who a social login is, how a person proves who they are again."""

import logging
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter, get_adapter
from allauth.account.internal.flows.email_verification import verify_email_indirectly
from allauth.account.internal.userkit import filter_users_by_email
from allauth.account.models import EmailAddress
from allauth.account.signals import _add_email, password_changed, password_reset, password_set
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.core.ratelimit import respond_429
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialLogin
from allauth.socialaccount.providers.base import AuthProcess
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.dispatch import receiver
from django.http import Http404, HttpRequest
from django.shortcuts import render
from django.urls import reverse

from .audit import client_ip
from .context import user_context
from .doors import COME_BACK, close_doors
from .hosts import current_domain
from .models import Membership, User
from .templatetags.workspace import workspace_url

log = logging.getLogger(__name__)


class AccountAdapter(DefaultAccountAdapter):
    """Sign-up leads into the new workspace, or to the page that makes one."""

    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "email_password_mismatch": "This e-mail address and this password don’t belong together.",
        "email_taken": "There is an account with this address already. Sign in instead.",
        "unconfirmed_email": "Confirm the address you have first: open the link we mailed to it. Then add another.",
        "incorrect_password": "That is not your password.",
        "enter_current_password": "That is not your password.",
        "rate_limited": "That was too often. Wait a few minutes and try again.",
        "too_many_login_attempts": "That was wrong too often. Wait five minutes and try again.",
    }

    def get_signup_redirect_url(self, request: HttpRequest) -> str:
        user: Any = request.user  # they are signed in by now
        with user_context(user):
            first = Membership.unscoped.of(user).first()
        return workspace_url(first.tenant, "chat:home") if first else reverse("create-workspace")

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        return "/" if current_domain() else super().get_login_redirect_url(request)

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return reverse("account")

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_ip(request) or super().get_client_ip(request)

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        try:
            super().pre_authenticate(request, **credentials)
        except ValidationError as too_often:
            raise ImmediateHttpResponse(respond_429(request)) from too_often

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """One count for an address, by whichever of our host names it is tried."""
        return str(credentials.get("email", "")).lower()

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """Who has a second factor proves it by that: a password alone must not be able to replace it."""
        methods = {method["id"]: method for method in super().get_reauthentication_methods(user)}
        code, passkey = methods.get("mfa_reauthenticate"), methods.get("mfa_reauthenticate:webauthn")
        if self.request.domain:  # type: ignore[attr-defined]
            passkey = None  # it is bound to the main host
        in_order = [code, passkey] if is_mfa_enabled(user, [Authenticator.Type.TOTP]) else [passkey, code]
        return [method for method in in_order if method] or list(methods.values())

    def send_password_reset_mail(self, user: Any, email: str, context: dict[str, Any]) -> None:
        """To the address asked for if that and the account's own are confirmed, otherwise to the account's own.

        So of an account that hasn't confirmed its own, nobody else gets a key. `hand_over` counts on that.
        """
        confirmed = set(EmailAddress.objects.filter(user=user, verified=True).values_list("email", flat=True))
        to = email if {email.lower(), user.email.lower()} <= confirmed else user.email
        super().send_password_reset_mail(user, to, context)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Links lead to PUBLIC_URL, whatever host name the request came by: it may be a customer's own."""
        at_home = {name: self.at_home(value) for name, value in context.items() if name.endswith("_url") and value}
        super().send_mail(template_prefix, email, {**context, **at_home, "public_url": settings.PUBLIC_URL})

    @staticmethod
    def at_home(url: str) -> str:
        return settings.PUBLIC_URL + urlsplit(url)._replace(scheme="", netloc="").geturl()

    def send_notification_mail(self, *args: Any, **kwargs: Any) -> None:
        """The change is made and stands, even if the mail about it can't be sent."""
        try:
            super().send_notification_mail(*args, **kwargs)
        except OSError:
            log.exception("A mail about a change of an account was not sent.")


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    """A social login enters the account that it is connected to, or makes a new one.

    It never enters an account because of an address: that account may be somebody else's claim on the address, and
    the provider could be wrong. Who owns both signs in and connects them.
    """

    def get_provider(self, request: HttpRequest, provider: str, client_id: str | None = None) -> Any:
        try:
            return super().get_provider(request, provider, client_id)
        except SocialApp.DoesNotExist as error:
            raise Http404(f"{provider} is not configured.") from error

    def populate_user(self, request: HttpRequest, sociallogin: SocialLogin, data: dict[str, Any]) -> User:
        user: User = super().populate_user(request, sociallogin, data)
        parts = (data.get("first_name"), data.get("last_name"))
        user.name = (data.get("name") or " ".join(filter(None, parts)))[:120]
        return user

    def save_user(self, request: HttpRequest, sociallogin: SocialLogin, form: Any = None) -> User:
        """With one unconfirmed address at most, the account's own: no further one to make the primary address of."""
        named = sociallogin.email_addresses
        sociallogin.email_addresses = [address for address in named if address.verified]
        if named and not sociallogin.email_addresses:
            sociallogin.user.email = named[0].email  # which is known to be free; a form's goes before it
        user: User = super().save_user(request, sociallogin, form)
        return user

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        provider = sociallogin.provider.name
        if sociallogin.state.get("process") == AuthProcess.CONNECT:
            if request.user.is_authenticated and has_unconfirmed_address(request.user):
                raise ImmediateHttpResponse(
                    render(request, "socialaccount/unconfirmed.html", {"provider": provider}, status=403)
                )
        elif not sociallogin.is_existing:
            confirmed = [address.email for address in sociallogin.email_addresses if address.verified]
            taken = next((email for email in confirmed if filter_users_by_email(email)), None)
            if taken:
                context = {"provider": provider, "email": taken}
                raise ImmediateHttpResponse(render(request, "socialaccount/email_taken.html", context, status=409))


def has_unconfirmed_address(user: Any) -> bool:
    """Whether the account claims an address that may be another person's. It gets no second way in before."""
    return EmailAddress.objects.filter(user=user, verified=False).exists()


@receiver(_add_email)
def refuse_a_second_claim(user: Any, **kwargs: Any) -> None:
    """So an account without any confirmed address has one address only, and can't change which."""
    if has_unconfirmed_address(user):
        raise get_adapter().validation_error("unconfirmed_email")


@receiver(password_reset)
@transaction.atomic
def hand_over(request: HttpRequest, user: Any, **kwargs: Any) -> None:
    """The key of a reset has proved an address that was a claim until then, maybe another person's: their ways in end.

    Second factors stay. They can't be added to a claim, and the mail must not replace those of an account that was made
    on the command line, whose address nobody ever confirmed.
    """
    own = EmailAddress.objects.filter(user=user, email=user.email.lower(), verified=False).first()
    if own:
        EmailAddress.objects.filter(user=user).exclude(pk=own.pk).delete()
        SocialAccount.objects.filter(user=user).delete()
        verify_email_indirectly(request, user, own.email)


@receiver([password_reset, password_changed, password_set])
def ask_again_at_the_doors(user: Any, **kwargs: Any) -> None:
    """The new password ended their other sessions; sockets that those opened are still open."""
    transaction.on_commit(partial(close_doors, user_id=user.pk, code=COME_BACK))
