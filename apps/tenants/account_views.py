"""The pages of one's own account that allauth doesn't have. They belong to the hub: an account is in no workspace."""

from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.internal.flows.sessions import end_sessions
from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.sessions.models import Session
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST

from .accounts import has_unconfirmed_address
from .forms import NameForm
from .http import SignedInRequest
from .middleware import WORKSPACE_PATH
from .models import Membership, User
from .second_factor import FACTORS, has_second_factor

GOING_TO = "second_factor_next"  # in the session: where they were when a workspace asked for a second factor


@login_required
def overview(request: SignedInRequest) -> HttpResponse:
    """Who I am here, how I sign in, and where I am signed in."""
    form = NameForm(request.POST or None, instance=request.user)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Your name is saved.")
        return redirect("account")
    factors = [factor.type for factor in Authenticator.objects.filter(user=request.user)]
    return render(
        request,
        "account/overview.html",
        {
            "form": form,
            "addresses": EmailAddress.objects.filter(user=request.user).order_by("-primary", "email"),
            "has_app": Authenticator.Type.TOTP in factors,
            "passkeys": factors.count(Authenticator.Type.WEBAUTHN),
            "sessions": live_sessions(request.user),
            "connections": SocialAccount.objects.filter(user=request.user).order_by("provider"),
        },
    )


def live_sessions(user: User) -> int:
    keys = UserSession.objects.filter(user=user).values("session_key")
    return Session.objects.filter(session_key__in=keys, expire_date__gt=timezone.now()).count()


@login_required
@require_POST
def end_session(request: SignedInRequest, pk: int) -> HttpResponse:
    """Signs out one of one's own sessions. Others' don't exist."""
    end_sessions(request, [get_object_or_404(UserSession, pk=pk, user=request.user)])
    messages.success(request, "That session is ended.")
    return redirect("usersessions_list")


@login_required
def second_factor(request: SignedInRequest) -> HttpResponse:
    """Between a workspace that asks for a second factor and a session that has shown none."""
    wanted = request.GET.get("next", "")
    if wanted and get_adapter().is_safe_url(wanted):
        request.session[GOING_TO] = wanted
    going_to = request.session.get(GOING_TO, "")
    if has_second_factor(request):
        request.session.pop(GOING_TO, None)
        return redirect(going_to or "account")
    proofs = get_adapter().get_reauthentication_methods(request.user)
    place = WORKSPACE_PATH.fullmatch(going_to.partition("?")[0])
    slug = place["slug"] if place else ""
    mine = [each.tenant for each in Membership.unscoped.of(request.user)]
    return render(
        request,
        "mfa/required.html",
        {
            "asking": next((tenant for tenant in mine if tenant.slug == slug), None),
            "proof": proofs[0]["url"] if is_mfa_enabled(request.user, FACTORS) else "",
            "is_unconfirmed": has_unconfirmed_address(request.user),
        },
    )
