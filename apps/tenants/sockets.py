"""The WebSocket's door: the origin, the session and the membership are checked before it is accepted.

Afterwards the door can be shut from outside, whatever the application behind it is doing: see `doors`.
"""

from dataclasses import dataclass
from functools import partial
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import get_user
from django.core.exceptions import DisallowedHost
from django.http import parse_cookie
from django.urls import set_script_prefix

from .context import tenant_context, user_context
from .doors import SHUT_OUT, Door, held, marks
from .hosts import belongs, current_domain, domain_at, served_at
from .middleware import WORKSPACE_PATH
from .models import Domain, Membership
from .second_factor import session_has_second_factor
from .threads import in_thread

FORBIDDEN = {"type": "websocket.close", "code": SHUT_OUT}  # before accept, so the browser sees a plain HTTP 403


class WorkspaceSocket:
    """ASGI middleware for a workspace's WebSockets, for signed-in members coming from our own pages.

    The inner application finds `user`, `workspace` and `membership` in its scope, the path without the prefix, and
    runs in the workspace's tenant context and script prefix, as a page's view does.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        headers = {name.decode("latin1").lower(): value.decode("latin1") for name, value in scope["headers"]}
        key, membership = session_key(headers), None
        if place := await in_thread(destination, headers, scope["path"]):
            with served_at(place.domain):
                membership = await in_thread(find_membership, key, place.slug)
        if place is None or membership is None:
            await receive()
            await send(FORBIDDEN)
            return
        inner_scope = {
            **scope,
            "path": place.path,
            "root_path": "",
            "user": membership.user,
            "workspace": membership.tenant,
            "membership": membership,
            "session_key": key,
        }
        set_script_prefix("/" if place.domain else f"/t/{place.slug}/")
        whose = marks(membership.tenant_id, membership.user_id, key)
        door = Door(whose, receive, send, partial(is_welcome, key, membership, place.domain))
        with served_at(place.domain), user_context(membership.user), tenant_context(membership.tenant), held(door):
            if await door.check():  # once more: it may have been shut for them before it was held
                await self.inner(inner_scope, door.receive, door.send)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a socket leads: `path` in the workspace named `slug`, or in that of its own `domain`."""

    domain: Domain | None
    slug: str
    path: str


def destination(headers: dict[str, str], path: str) -> Destination | None:
    """None where there is no workspace, on a host that isn't ours, and for pages of other sites."""
    try:
        domain = domain_at(headers.get("host", ""))
    except DisallowedHost:
        return None
    match = WORKSPACE_PATH.fullmatch(path)
    if not is_own_origin(headers) or bool(match) == bool(domain):  # a domain knows no prefix
        return None
    slug, rest = match.group("slug", "rest") if match else ("", path)
    return Destination(domain, slug, rest) if rest else None


def is_own_origin(headers: dict[str, str]) -> bool:
    """Whether the page that opens the socket was served by the host it connects to."""
    host = headers.get("host", "")
    try:
        origin = urlsplit(headers.get("origin", ""))
    except ValueError:
        return False
    return bool(host) and origin.netloc.lower() == host.lower()


def session_key(headers: dict[str, str]) -> str:
    return parse_cookie(headers.get("cookie", "")).get(settings.SESSION_COOKIE_NAME, "")


def find_membership(key: str, slug: str) -> Membership | None:
    """The membership of the session's user in the workspace named `slug`, or None: whoever may not enter has none.

    At a workspace's own domain the domain says which, and only a session that was opened there counts.
    """
    domain = current_domain()
    store = import_module(settings.SESSION_ENGINE).SessionStore(key)
    user = get_user(SimpleNamespace(session=store))  # type: ignore[arg-type]
    if not key or not user.is_authenticated or not belongs(store, domain):
        return None
    wanted = {"tenant_id": domain.tenant_id} if domain else {"tenant__slug": slug}
    with user_context(user):
        membership = Membership.unscoped.of(user).filter(**wanted, tenant__status="active").first()
    if membership is None or (membership.tenant.mfa_required and not session_has_second_factor(store)):
        return None
    membership.user = user
    return membership


async def is_welcome(key: str, before: Membership, domain: Domain | None) -> bool:
    """Whether the session still belongs to the same user, with a place in the same workspace."""
    with served_at(domain):
        now = await in_thread(find_membership, key, before.tenant.slug)
    return now is not None and (now.tenant_id, now.user_id) == (before.tenant_id, before.user_id)
