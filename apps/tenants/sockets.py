"""The WebSocket's door: the origin, the session and the membership are checked before it is accepted."""

from importlib import import_module
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import get_user
from django.http import parse_cookie
from django.http.request import split_domain_port, validate_host
from django.urls import set_script_prefix

from .context import tenant_context, user_context
from .middleware import WORKSPACE_PATH
from .models import Membership
from .threads import in_thread

FORBIDDEN = {"type": "websocket.close", "code": 4403}  # before accept, so the browser sees a plain HTTP 403


class WorkspaceSocket:
    """ASGI middleware for WebSockets under `/t/<slug>/`, for signed-in members coming from our own pages.

    The inner application finds `user`, `workspace` and `membership` in its scope, the path without the prefix, and
    runs in the workspace's tenant context and script prefix, as a page's view does.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        headers = {name.decode("latin1").lower(): value.decode("latin1") for name, value in scope["headers"]}
        match = WORKSPACE_PATH.fullmatch(scope["path"])
        membership = None
        if match and match["rest"] and is_own_origin(headers):
            membership = await in_thread(find_membership, session_key(headers), match["slug"])
        if match is None or membership is None:
            await receive()
            await send(FORBIDDEN)
            return
        inner_scope = {
            **scope,
            "path": match["rest"],
            "root_path": "",
            "user": membership.user,
            "workspace": membership.tenant,
            "membership": membership,
            "session_key": session_key(headers),
        }
        set_script_prefix(f"/t/{match['slug']}/")
        with user_context(membership.user), tenant_context(membership.tenant):
            await self.inner(inner_scope, receive, send)


def is_own_origin(headers: dict[str, str]) -> bool:
    """Whether the page that opens the socket was served by the host it connects to."""
    host = headers.get("host", "")
    domain, _ = split_domain_port(host)
    try:
        origin = urlsplit(headers.get("origin", ""))
    except ValueError:
        return False
    allowed = settings.ALLOWED_HOSTS or [".localhost", "127.0.0.1", "[::1]"]
    return bool(domain) and validate_host(domain, allowed) and origin.netloc.lower() == host.lower()


def session_key(headers: dict[str, str]) -> str:
    return parse_cookie(headers.get("cookie", "")).get(settings.SESSION_COOKIE_NAME, "")


def find_membership(key: str, slug: str) -> Membership | None:
    """The membership of the session's user in the workspace named `slug`, or None."""
    store = import_module(settings.SESSION_ENGINE).SessionStore(key)
    user = get_user(SimpleNamespace(session=store))  # type: ignore[arg-type]
    if not key or not user.is_authenticated:
        return None
    with user_context(user):
        membership = Membership.unscoped.of(user).filter(tenant__slug=slug, tenant__status="active").first()
    if membership:
        membership.user = user
    return membership
