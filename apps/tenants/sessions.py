"""Where a user is signed in: when each session was last used, and by what."""

import hashlib
from collections.abc import Callable

from allauth.usersessions.models import UserSession
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse

from .audit import client_ip

SEEN_EVERY_S = 300

# Each browser also names those it descends from, so the first match counts.
BROWSERS = {
    "Edg": "Edge",
    "OPR/": "Opera",
    "Firefox/": "Firefox",
    "FxiOS/": "Firefox",
    "Chrome/": "Chrome",
    "CriOS/": "Chrome",
    "Safari/": "Safari",
}
SYSTEMS = {
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Android": "Android",
    "CrOS": "ChromeOS",
    "Windows": "Windows",
    "Mac OS X": "macOS",
    "Linux": "Linux",
}


class SessionSeenMiddleware:
    """Keeps when and from where a session was used, to five minutes. allauth's own would write at every request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated and request.session.session_key:
            used = f"{request.session.session_key} {client_ip(request)}"
            if cache.add(f"seen:{hashlib.sha256(used.encode()).hexdigest()}", 1, SEEN_EVERY_S):
                UserSession.objects.create_from_request(request)
        return self.get_response(request)


def device(user_agent: str) -> str:
    """ "Firefox on Linux", as far as the browser says; the words of other programs as they are."""
    browser = next((name for mark, name in BROWSERS.items() if mark in user_agent), "")
    system = next((name for mark, name in SYSTEMS.items() if mark in user_agent), "")
    return " on ".join(filter(None, (browser, system))) or user_agent.partition("/")[0] or "Unknown"
