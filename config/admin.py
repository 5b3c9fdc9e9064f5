"""The two admin sites: the platform's under /platform/, and each workspace's own under its /admin/."""

from collections.abc import Iterator
from typing import Any

from csp.constants import SELF, UNSAFE_EVAL, UNSAFE_INLINE
from csp.decorators import csp_update
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, URLResolver
from unfold.sites import UnfoldAdminSite

from apps.tenants.permissions import Permission, allowed, needs
from apps.tenants.templatetags.workspace import hub_url


class Site(UnfoldAdminSite):
    """Its pages need a looser policy than ours: Alpine evaluates attributes, a few style blocks are inline, and
    elements carry style attributes. The blocks get a nonce; scripts stay ours alone."""

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        @csp_update({"script-src": [SELF, UNSAFE_EVAL], "style-src-attr": [UNSAFE_INLINE]})
        def with_policy(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            response = guarded(request, *args, **kwargs)
            if hasattr(response, "add_post_render_callback"):
                response.add_post_render_callback(lambda rendered: fit_policy(request, rendered))
            return response

        guarded = super().admin_view(view, cacheable)
        return with_policy


class PlatformSite(Site):
    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Without allauth's own pages: operators have no business in people's second factors and sessions."""
        if not (admin_class and admin_class.__module__.startswith("allauth.")):
            super().register(model_or_iterable, admin_class, **options)

    def get_urls(self) -> list[Any]:
        from apps.runs import circuit_admin
        from apps.tenants import queue_admin

        return [*circuit_admin.pages(self), *queue_admin.pages(self), *super().get_urls()]

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """There is one sign-in. Who is signed in and isn't staff has no business here."""
        if request.user.is_authenticated:
            return redirect("workspaces")
        return redirect_to_login(request.GET.get("next", request.path), "account_login")


class WorkspaceSite(Site):
    """Shows a workspace to its owners and admins, and changes nothing: the workspace's own pages do that.

    Being staff of the platform counts for nothing here. Its rows come from the default connection, in the workspace's
    context, so that row-level security holds for this site as for every page.
    """

    settings_name = "UNFOLD_WORKSPACE"
    index_template = "admin/workspace_index.html"
    index_title = "Overview"
    # They would show accounts, or what the platform's operators did, or offer what is forbidden anyway.
    left_out = frozenset({"login", "password_change", "password_change_done", "autocomplete", "view_on_site"})
    left_out_of_models = ("_add", "_delete", "_history")

    def has_permission(self, request: HttpRequest) -> bool:
        return allowed(request.membership, Permission.CHANGE_SETTINGS)  # type: ignore[attr-defined]

    def get_urls(self) -> list[Any]:
        """The middleware serves no view that names no permission, so each of them is decorated like any other's."""
        patterns = super().get_urls()
        for each in self.kept(patterns):
            each.callback = needs(Permission.CHANGE_SETTINGS)(each.callback)
        return patterns

    def kept(self, patterns: list[Any]) -> Iterator[URLPattern]:
        """Takes out of `patterns`, and of what they include, what is left out; yields the rest."""
        patterns[:] = [each for each in patterns if not self.is_left_out(getattr(each, "name", None) or "")]
        for each in patterns:
            if isinstance(each, URLResolver):
                yield from self.kept(each.url_patterns)
            else:
                yield each

    def is_left_out(self, name: str) -> bool:
        return name in self.left_out or name.endswith(self.left_out_of_models)

    def search(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Finds nothing: unfold keeps results by user alone, and one may be in several workspaces."""
        return HttpResponse()

    def logout(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return redirect(hub_url("account_logout"), preserve_request=True)


def account(request: HttpRequest) -> str:
    return hub_url("account")


def workspace_name(request: HttpRequest) -> str:
    return request.workspace.name  # type: ignore[attr-defined]


HTMX = b"""<head><meta name="htmx-config" content='{"includeIndicatorStyles": false}'>"""  # it would add a block


def fit_policy(request: HttpRequest, response: HttpResponse) -> None:
    nonce = str(request.csp_nonce)  # type: ignore[attr-defined]
    content = response.content.replace(b"<style", f'<style nonce="{nonce}"'.encode())
    response.content = content.replace(b"<head>", HTMX, 1)
    policy = {**getattr(response, "_csp_update", {}), "style-src": [SELF, f"'nonce-{nonce}'"]}
    response._csp_update = policy  # type: ignore[attr-defined]
