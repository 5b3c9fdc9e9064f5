"""The door of a workspace's API: a key opens it, and nothing else does.

    Authorization: Bearer corbel_...

Sessions and cookies don't count under `/api/`, so no page of another site can act there; keys don't count anywhere
else. Every key that opens nothing is answered alike: unknown, revoked, expired, another workspace's. Errors have the
shape that OpenAI's have, so that its clients understand them.

`serve` stands before the middleware, which is for pages: it takes most of what a page costs.
"""

import re
from collections.abc import Callable
from typing import Any, TypeVar

from allauth.core.internal import ratelimit
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import DisallowedHost, ImproperlyConfigured
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.middleware.security import SecurityMiddleware
from django.urls import resolve

from . import api_keys
from .audit import coming_from
from .context import tenant_context
from .hosts import domain_at, is_main
from .models import ApiKey, Domain, Tenant
from .threads import in_thread

AWAY = (OperationalError, InterfaceError)
KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
PATH = re.compile(r"(?:/t/(?P<slug>[^/]+))?(?P<rest>/api/.*)", re.DOTALL)

View = TypeVar("View", bound=Callable[..., Any])


def for_keys(*, admitted_by_run: bool = False) -> Callable[[View], View]:
    """Marks a view of the API, which is a coroutine. Those that aren't marked are never called there.

    admitted_by_run: beginning a run asks the database about the key; so the view may be called with one from memory.
    """

    def decorate(view: View) -> View:
        view.for_keys, view.admitted_by_run = True, admitted_by_run  # type: ignore[attr-defined]
        return view

    return decorate


async def serve(request: HttpRequest) -> Any:
    """The answer to a request to a workspace's API; None for any other.

    Sets `request.workspace` and `request.api_key`. Nobody is signed in, whatever the cookies say.
    """
    match = PATH.fullmatch(request.path_info)
    if match is None:
        return None
    try:
        domain = await own_domain(request)
    except DisallowedHost:
        return None
    except AWAY:
        return away()
    if bool(domain) == bool(match["slug"]):
        return None  # a workspace is named by its domain or by the path, and by one of them

    def is_it(tenant: Tenant) -> bool:
        return tenant.id == domain.tenant_id if domain else tenant.slug == match["slug"]

    request.user, request.membership = AnonymousUser(), None  # type: ignore[attr-defined]
    with coming_from(request):
        response: Any = await answer(request, is_it, match["rest"])
    return security.process_response(request, response)


security = SecurityMiddleware(lambda request: HttpResponse())  # for what it adds to every answer


async def own_domain(request: HttpRequest) -> Domain | None:
    """The workspace's own domain that the request came by. Raises DisallowedHost."""
    host = request.get_host()
    return None if is_main(host) else await in_thread(domain_at, host)


async def answer(request: HttpRequest, is_it: Callable[[Tenant], bool], rest: str) -> HttpResponseBase:
    view, args, kwargs = resolve(rest, settings.WORKSPACE_URLCONF)
    if not hasattr(view, "for_keys"):
        raise ImproperlyConfigured(
            f"{view.__module__}.{view.__qualname__} is no view of the API. Decorate it: @for_keys()"
        )
    token = token_of(request)
    key = api_keys.find_kept(token) if view.admitted_by_run else None
    if not (key and is_it(key.tenant) and key.tenant.is_active):
        try:
            key = await in_thread(look_up, request, token, is_it)
        except TooOften:
            return too_often()
        except AWAY:
            return away()
    if key is None:
        return refused()
    if not key.tenant.is_active:
        return error(403, f"{key.tenant.name} is closed at present.", code="workspace_closed")
    request.workspace, request.api_key = key.tenant, key  # type: ignore[attr-defined]
    with tenant_context(key.tenant):
        response: HttpResponseBase = await view(request, *args, **kwargs)
    return response


class TooOften(Exception):
    """An address has shown too many keys that count nowhere."""


def look_up(request: HttpRequest, token: str, is_it: Callable[[Tenant], bool]) -> ApiKey | None:
    """The key, from the database. What counts nowhere is counted by address; raises TooOften, asking nothing more."""
    if not api_keys.TOKEN.fullmatch(token):
        return None
    if not count_failure(request, dry_run=True):
        raise TooOften
    key = api_keys.find(token)
    if key and is_it(key.tenant):
        return key
    count_failure(request)
    return None


def count_failure(request: HttpRequest, *, dry_run: bool = False) -> bool:
    """Whether one more is allowed; without `dry_run` it is counted."""
    return bool(ratelimit.consume(request, app="allauth.account", action="api_key", dry_run=dry_run, limit_get=True))


def token_of(request: HttpRequest) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def kind_of(status: int) -> str:
    return KINDS.get(status) or ("api_error" if status >= 500 else "invalid_request_error")


def error(status: int, message: str, *, code: str, param: str | None = None) -> JsonResponse:
    """What went wrong and what to do, in OpenAI's shape."""
    said = {"message": message, "type": kind_of(status), "code": code, "param": param}
    response = JsonResponse({"error": said}, status=status)
    response["Cache-Control"] = "no-store"
    return response


def refused() -> JsonResponse:
    message = (
        "This workspace has no such API key. Send one that is in use as “Authorization: Bearer corbel_...”; "
        "owners and admins make them under Settings, API keys."
    )
    response = error(401, message, code="invalid_api_key")
    response["WWW-Authenticate"] = "Bearer"
    return response


def too_often() -> JsonResponse:
    response = error(429, "Too many keys from this address count nowhere. Wait a minute.", code="too_many_failures")
    response["Retry-After"] = "60"
    return response


def away() -> JsonResponse:
    response = error(503, "The database does not answer. Try again in a few seconds.", code="unavailable")
    response["Retry-After"] = "5"
    return response
