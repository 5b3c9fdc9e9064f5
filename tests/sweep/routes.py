"""Every route of both sitemaps, and how its arguments are filled with one tenant's objects.

Most are filled by what the route itself says: an admin's by its model, others by trying the rows of their app until the
owner gets something other than 404. Where that finds nothing, FILLERS needs a line.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice, product
from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.apps import apps
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.urls import URLPattern, get_resolver
from django.urls.converters import IntConverter, UUIDConverter
from django.utils.regex_helper import normalize

from .planting import Row
from .world import Side

Arguments = dict[str, str]
MOST_TRIED = 60

# Arguments that no row's key fits, by the route's name, else by the argument's: each gives the values to try.
FILLERS: dict[str, Callable[[Side], list[Arguments]]] = {
    "admin:view_on_site": lambda side: [
        {"content_type_id": str(ContentType.objects.get_for_model(model).pk), "object_id": str(rows[0].pk)}
        for model, rows in side.rows.items()
    ],
    "account_confirm_email": lambda side: [{"key": f"{side.mark}key"}],
    "account_reset_password_from_key": lambda side: [{"uidb36": side.owner.pk.hex[:10], "key": f"{side.mark}key"}],
    "prompt": lambda side: [{"prompt": "answer"}],
    "token": lambda side: [{"token": side.token}],
    "url": lambda side: [{"url": "no/such/page"}],
}
SECRETS = {"token", "key"}  # an outsider has none that is right

# Routes on which nobody gets anything but 404, and why that is right.
NOT_REACHED = {
    "admin:(?P<url>.*)$": "is where the admin sends what it has no page for",
    "workspace_admin:(?P<url>.*)$": "the same, in a workspace",
    "admin:view_on_site": "no model says where on the site it is seen",
    "api:not-found": "is where programs are told that there is no such address",
}


@dataclass(frozen=True)
class Route:
    """`form` has a place for each of `parameters`; `site` is "hub" or "workspace"."""

    site: str
    name: str
    form: str
    parameters: tuple[str, ...]
    converters: dict[str, Any]
    view: Callable[..., Any]

    def __str__(self) -> str:
        return f"{self.site} {self.name} ({self.form})"

    @property
    def is_admin(self) -> bool:
        return hasattr(self.view, "admin_site") or hasattr(self.view, "model_admin") or "admin" in self.name

    @property
    def is_api(self) -> bool:
        """Whether it is for programs with a key, and for nobody who is signed in."""
        return hasattr(self.view, "for_keys")

    @property
    def app(self) -> str:
        """The app that the view belongs to."""
        config = apps.get_containing_app_config(self.view.__module__)
        return config.label if config else ""

    def path(self, arguments: Arguments) -> str:
        return self.form % {name: quote(value) for name, value in arguments.items()}

    def candidates(self, side: Side) -> Iterator[Arguments]:
        """Arguments naming the side's objects, the likeliest first. For two sides the n-th are alike."""
        if filler := FILLERS.get(self.name):
            yield from filler(side)
            return
        values = [list(islice(self.values(name, side), MOST_TRIED)) for name in self.parameters]
        yield from (dict(zip(self.parameters, chosen, strict=True)) for chosen in islice(product(*values), MOST_TRIED))

    def values(self, parameter: str, side: Side) -> Iterator[str]:
        if filler := FILLERS.get(parameter):
            yield from (arguments[parameter] for arguments in filler(side))
        elif isinstance(choice := self.converters.get(parameter), str):
            yield from choice.split("|")
        else:
            kind = {UUIDConverter: UUID, IntConverter: int}.get(type(choice), object)
            yield from (str(row.pk) for row in self.rows(side) if isinstance(row.pk, kind))

    def rows(self, side: Side) -> Iterator[Row]:
        """The side's objects: those that the route says it is about come first, then those of its app."""
        known = {**side.rows, **side.personal, type(side.tenant): [side.tenant], type(side.owner): [side.owner]}
        about = self.model()
        if about and about not in known:
            yield from about._base_manager.all()[:1]

        def likeliness(model: type[Row]) -> tuple[bool, bool, bool]:
            return model is not about, not self.names(model), model._meta.app_label != self.app

        yield from chain.from_iterable(known[model] for model in sorted(known, key=likeliness))

    def names(self, model: type[Row]) -> bool:
        """Whether a part of the address is the model's name: documents/ is of Document, members/ of Membership."""
        parts = [part.rstrip("s") for part in self.form.split("/") if part and "%" not in part]
        return any(len(part) > 3 and (model._meta.model_name or "").startswith(part) for part in parts)

    def model(self) -> type[Row] | None:
        """The model that the view says it is about, if it does."""
        if admin := getattr(self.view, "model_admin", None):
            return admin.model
        if match := re.fullmatch(r"\w+:(\w+)_(\w+)_(change|delete|history)", self.name):
            return apps.get_model(match[1], match[2])
        return getattr(getattr(self.view, "view_class", None), "model", None)


def walk(site: str, urlconf: str) -> list[Route]:
    return list(below(get_resolver(urlconf), site, "", (), {}))


def below(
    resolver: Any, site: str, prefix: str, spaces: tuple[str, ...], converters: dict[str, Any]
) -> Iterator[Route]:
    for entry in resolver.url_patterns:
        regex = prefix + entry.pattern.regex.pattern.removeprefix("^")
        known = converters | entry.pattern.converters | choices(entry.pattern.regex.pattern)
        if isinstance(entry, URLPattern):
            form, parameters = normalize(regex)[0]
            name = ":".join((*spaces, entry.name or str(entry.pattern)))
            yield Route(site, name, form, tuple(parameters), known, entry.callback)
        else:
            inner = (*spaces, entry.namespace) if entry.namespace else spaces
            yield from below(entry, site, regex, inner, known)


def choices(regex: str) -> dict[str, str]:
    """Arguments that may be one of a few words."""
    return dict(re.findall(r"\(\?P<(\w+)>([\w|]+)\)", regex))


def hub() -> list[Route]:
    return walk("hub", settings.ROOT_URLCONF)


def workspace() -> list[Route]:
    return walk("workspace", settings.WORKSPACE_URLCONF)
