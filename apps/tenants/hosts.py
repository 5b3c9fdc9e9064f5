"""Which host names are ours, and where each leads.

The names of ALLOWED_HOSTS lead to the hub and, under /t/<slug>/, to every workspace. A verified domain leads to its own
workspace alone, at /, and to the few pages of the hub that signing in needs. Any other name is refused before anything
else happens, so nothing later has to doubt `request.get_host()`; what a proxy says in X-Forwarded-Host is not read.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.http.request import split_domain_port, validate_host

from .models import Domain

# Pages of the hub, by name, that a workspace's own domain serves too. The others stay on the main host.
SERVED_EVERYWHERE = frozenset(
    "healthz account_login account_logout account_reauthenticate mfa_authenticate mfa_reauthenticate "
    "second-factor".split()
)
NOTHING_HERE = (
    "No workspace is served under this name. If it is your own domain, open your workspace at its usual address, "
    "go to Settings, Domains, and check it there.\n"
)
DOMAIN = "domain"  # in the session: the domain that it was opened on

_domain: ContextVar[Domain | None] = ContextVar("domain", default=None)


def domain_at(host: str) -> Domain | None:
    """The verified domain that a Host header names; None for a main host. Raises DisallowedHost for any other."""
    if is_main(host):
        return None
    name, _ = split_domain_port(host)
    domain = Domain.unscoped.filter(domain=name, verified_at__isnull=False).first() if name else None
    if domain is None:
        raise DisallowedHost(f"{host!r} is no name of ours.")
    return domain


def is_main(host: str) -> bool:
    name, _ = split_domain_port(host)
    return bool(name) and validate_host(name, settings.HOSTS)


def current_domain() -> Domain | None:
    """The workspace's own domain that the present request came by, if it came by one."""
    return _domain.get()


@contextmanager
def served_at(domain: Domain | None) -> Iterator[None]:
    token = _domain.set(domain)
    try:
        yield
    finally:
        _domain.reset(token)


class HostMiddleware:
    """The first after static files: refuses strangers' names, and sets `request.domain`, None on a main host."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            request.domain = domain_at(request.get_host())  # type: ignore[attr-defined]
        except DisallowedHost:
            return HttpResponseBadRequest(NOTHING_HERE, content_type="text/plain; charset=utf-8")
        with served_at(request.domain):  # type: ignore[attr-defined]
            return self.get_response(request)


class HostSessionMiddleware(SessionMiddleware):
    """A session opened on a workspace's own domain counts on that domain only, and one of a main host on no domain.

    Whoever owns a domain can lead it to a server of theirs, and read the cookies that browsers send there. What they
    get opens nothing but their own workspace.
    """

    def process_request(self, request: Any) -> None:
        super().process_request(request)
        if request.session.session_key and not belongs(request.session, request.domain):
            request.session = self.SessionStore()

    def process_response(self, request: Any, response: Any) -> Any:
        if request.domain and request.session.modified and not request.session.is_empty():
            request.session[DOMAIN] = str(request.domain.id)
        return super().process_response(request, response)


def belongs(session: SessionBase, domain: Domain | None) -> bool:
    """Whether the session was opened on `domain`; with None, on a main host."""
    return session.get(DOMAIN) == (str(domain.id) if domain else None)
