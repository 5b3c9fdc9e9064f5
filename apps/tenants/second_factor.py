"""Whether a session was opened with a second factor, and what a workspace that wants one answers when it wasn't."""

from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

from allauth.account.authentication import get_authentication_records
from allauth.account.internal.flows.login import record_authentication
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added
from allauth.mfa.utils import is_mfa_enabled
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, HttpResponseRedirect

from .models import Tenant, User
from .templatetags.workspace import hub_url, workspace_url

FACTORS = [Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN]


def has_second_factor(request: HttpRequest) -> bool:
    """Whether the user proved a second factor in this session, and still has one.

    A passkey counts, and so does a recovery code. Signing in by Google or GitHub doesn't: what they asked for, we
    don't know.
    """
    return session_has_second_factor(request.session)


def session_has_second_factor(session: SessionBase) -> bool:
    """The same of a session's store, where there is no request: at a WebSocket."""
    if not session.get(SESSION_KEY):
        return False
    user = User(pk=User._meta.pk.to_python(session[SESSION_KEY]))
    records = get_authentication_records(SimpleNamespace(session=session), user)  # type: ignore[arg-type]
    return any(record["method"] == "mfa" for record in records) and is_mfa_enabled(user, FACTORS)


def gate(request: HttpRequest, tenant: Tenant) -> HttpResponse | None:
    """None lets the request through. Otherwise a page load is sent to prove a factor, or to set one up, and comes back;
    a request of a script gets 403."""
    if not tenant.mfa_required or has_second_factor(request):
        return None
    if not is_page_load(request):
        sentence = f"{tenant.name} asks for a second factor. Reload the page."
        return HttpResponseForbidden(sentence, content_type="text/plain; charset=utf-8")
    here = request.get_full_path() if request.method == "GET" else workspace_url(tenant, "chat:home")
    return HttpResponseRedirect(f"{hub_url('second-factor')}?{urlencode({'next': here})}")


def is_page_load(request: HttpRequest) -> bool:
    """Whether a person looks at what this request returns. Browsers say so; others are taken at their word."""
    wants_json = "application/json" in (request.content_type or "") + request.headers.get("Accept", "")
    navigates = request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
    return navigates and not wants_json and not request.headers.get("HX-Request")


@receiver(authenticator_added)
def remember_proof(request: HttpRequest, user: Any, authenticator: Authenticator, **kwargs: Any) -> None:
    """Who has just set a factor up has shown that they hold it."""
    if authenticator.type in FACTORS:
        record_authentication(request, user, "mfa", id=authenticator.pk, type=authenticator.type)
