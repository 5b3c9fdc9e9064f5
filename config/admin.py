"""The platform's own admin site, under /platform/. Workspaces have pages of their own."""

from typing import Any

from csp.constants import SELF, UNSAFE_EVAL, UNSAFE_INLINE
from csp.decorators import csp_update
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from unfold.sites import UnfoldAdminSite


class PlatformSite(UnfoldAdminSite):
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

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """There is one sign-in. Who is signed in and isn't staff has no business here."""
        if request.user.is_authenticated:
            return redirect("workspaces")
        return redirect_to_login(request.GET.get("next", request.path), "account_login")


HTMX = b"""<head><meta name="htmx-config" content='{"includeIndicatorStyles": false}'>"""  # it would add a block


def fit_policy(request: HttpRequest, response: HttpResponse) -> None:
    nonce = str(request.csp_nonce)  # type: ignore[attr-defined]
    content = response.content.replace(b"<style", f'<style nonce="{nonce}"'.encode())
    response.content = content.replace(b"<head>", HTMX, 1)
    policy = {**getattr(response, "_csp_update", {}), "style-src": [SELF, f"'nonce-{nonce}'"]}
    response._csp_update = policy  # type: ignore[attr-defined]
