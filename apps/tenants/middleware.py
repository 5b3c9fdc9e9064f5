"""Finds the workspace in the address and lets members in."""

import re
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import ImproperlyConfigured
from django.http import Http404, HttpRequest, HttpResponse, HttpResponsePermanentRedirect, HttpResponseRedirect
from django.shortcuts import render
from django.urls import Resolver404, get_script_prefix, resolve, set_script_prefix

from . import api_access, second_factor
from .audit import coming_from
from .context import tenant_context, user_context
from .hosts import SERVED_EVERYWHERE
from .models import Domain, Membership, Tenant

WORKSPACE_PATH = re.compile(r"/t/(?P<slug>[^/]+)(?P<rest>/.*)?", re.DOTALL)


class WorkspaceMiddleware:
    """Serves `/t/<slug>/...`, and all of a workspace's own domain, from the workspace's URLs, to its members only.

    The prefix moves into the script prefix, so that URL patterns and `reverse()` know nothing of it. Who isn't a
    member gets the same 404 as for a workspace that doesn't exist; who isn't signed in is asked to, either way.
    Sets `request.workspace` and `request.membership`, both None outside a workspace. A suspended workspace, or one that
    is being deleted, says so and serves nothing. A view that names no permission is never called.

    What is under `/api/` in a workspace is `api_access`'s: for its keys, and for no session.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.workspace = request.membership = None  # type: ignore[attr-defined]
        # Our own server has asked already: config.asgi.
        if api_access.PATH.fullmatch(request.path_info) and (answer := async_to_sync(api_access.serve)(request)):
            return answer
        acting = user_context(request.user) if request.user.is_authenticated else nullcontext()
        with coming_from(request), acting:
            match = WORKSPACE_PATH.fullmatch(request.path_info)
            if request.domain:  # type: ignore[attr-defined]
                return self.on_domain(request, request.domain, is_prefixed=bool(match))  # type: ignore[attr-defined]
            if match is None:
                return self.get_response(request)
            slug = match["slug"]
            return self.enter(request, lambda tenant: tenant.slug == slug, prefix=f"/t/{slug}", rest=match["rest"])

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> None:
        if request.workspace and not hasattr(view, "permission"):  # type: ignore[attr-defined]
            raise ImproperlyConfigured(
                f"{view.__module__}.{view.__qualname__} names no permission. Decorate it: @needs(...)"
            )

    def on_domain(self, request: HttpRequest, domain: Domain, *, is_prefixed: bool) -> HttpResponse:
        page = hub_page(request.path_info)
        if page in SERVED_EVERYWHERE:
            return self.get_response(request)
        if request.path_info.startswith("/accounts/") and request.method in ("GET", "HEAD"):
            return HttpResponseRedirect(settings.PUBLIC_URL + request.get_full_path())
        if is_prefixed or page:
            raise Http404("It is on the main host.")
        return self.enter(request, lambda tenant: tenant.id == domain.tenant_id, prefix="", rest=request.path_info)

    def enter(
        self, request: HttpRequest, is_it: Callable[[Tenant], bool], *, prefix: str, rest: str | None
    ) -> HttpResponse:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path(), settings.LOGIN_URL)
        # All of the user's, which are few: the switcher on the page needs them too.
        request.memberships = list(Membership.unscoped.of(request.user))  # type: ignore[attr-defined]
        membership = next((each for each in request.memberships if is_it(each.tenant)), None)  # type: ignore[attr-defined]
        if membership is None:
            raise Http404("No such workspace.")
        if not membership.tenant.is_active:
            return render(request, "tenants/closed.html", {"closed": membership.tenant}, status=403)
        if refusal := second_factor.gate(request, membership.tenant):
            return refusal
        if rest is None:
            return HttpResponsePermanentRedirect(request.get_full_path(force_append_slash=True))
        request.workspace, request.membership = membership.tenant, membership  # type: ignore[attr-defined]
        outer = get_script_prefix()
        request.path_info = rest
        request.META["SCRIPT_NAME"] = outer.rstrip("/") + prefix
        request.urlconf = settings.WORKSPACE_URLCONF
        set_script_prefix(request.META["SCRIPT_NAME"] + "/")
        try:
            with tenant_context(membership.tenant):
                return self.get_response(request)
        finally:
            set_script_prefix(outer)


def hub_page(path: str) -> str:
    """The name of the hub's page at `path`; empty if there is none, and for the front page, whose place is taken."""
    try:
        found = resolve(path, settings.ROOT_URLCONF)
    except Resolver404:
        return ""
    return "" if path == "/" else found.view_name or "unnamed"
