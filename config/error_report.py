"""Django's page and mail about a crash, without what people typed into fields for keys and passwords.

Django's own hides that only where a view says so, and not while DEBUG is on.
"""

from types import FrameType
from typing import Any

from django.http import HttpRequest
from django.urls import NoReverseMatch
from django.utils.html import escape
from django.utils.safestring import SafeString
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

LEAST = 6  # characters: what is shorter would be found everywhere


class ReporterFilter(SafeExceptionReporterFilter):
    def is_secret(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.hidden_settings.search(name))

    def get_post_parameters(self, request: HttpRequest | None) -> Any:
        posted = super().get_post_parameters(request)
        if not posted:
            return posted
        posted = posted.copy()
        for name in posted:
            if self.is_secret(name):
                posted[name] = self.cleansed_substitute
        return posted

    def get_safe_settings(self) -> dict[str, Any]:
        """Without those that name pages of the site which the request isn't of: they can't be written out."""
        return {name: value for name, value in super().get_safe_settings().items() if can_be_shown(value)}

    def get_traceback_frame_variables(self, request: HttpRequest | None, tb_frame: FrameType) -> Any:
        return [
            (name, self.cleansed_substitute if self.is_secret(name) and isinstance(value, str | bytes) else value)
            for name, value in super().get_traceback_frame_variables(request, tb_frame)
        ]


def can_be_shown(value: object) -> bool:
    try:
        repr(value)
    except NoReverseMatch:
        return False
    return True


class Reporter(ExceptionReporter):
    """What such a field was sent with is taken out wherever it shows: in variables of any name, and in messages."""

    def get_traceback_html(self) -> SafeString:
        return self.without_secrets(super().get_traceback_html())

    def get_traceback_text(self) -> SafeString:
        return self.without_secrets(super().get_traceback_text())

    def without_secrets(self, text: str) -> SafeString:
        for secret in self.secrets():
            for spelling in (secret, escape(secret), repr(secret)[1:-1], escape(repr(secret)[1:-1])):
                text = text.replace(spelling, self.filter.cleansed_substitute)
        return SafeString(text)  # as it was before

    def secrets(self) -> list[str]:
        sent = getattr(self.request, "_post", None)  # what was parsed already: parsing may be what failed
        if not sent or not isinstance(self.filter, ReporterFilter):
            return []
        found = {value for name in sent if self.filter.is_secret(name) for value in sent.getlist(name)}
        return sorted((value for value in found if len(value) >= LEAST), key=len, reverse=True)
