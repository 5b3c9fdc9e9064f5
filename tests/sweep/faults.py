"""What each form of attack finds, one line for each fault; none when all is well."""

from itertools import product

from .attack import METHODS, Visitor, is_login
from .reached import Reached, fields, names_on_pages
from .report import tried
from .world import World

# Everybody meets the same doors; one tries every handle of each.
METHODS_OF: dict[str, tuple[str, ...]] = {"outsider": METHODS, "anonymous": ("GET", "POST", "DELETE")}

Everything = dict[str, list[Reached]]


def methods_of(who: str, one: Reached) -> tuple[str, ...]:
    """Those that somebody tries. An admin site has one door for all of its pages."""
    methods = METHODS_OF.get(who, ("GET", "POST"))
    return methods[:2] if one.route.is_admin else methods


def under_its_address(world: World, ones: list[Reached], who: str) -> list[str]:
    """Acme's pages with Acme's objects, by somebody who is no member."""
    visitor = Visitor(world, world.outsiders[who], world.acme)
    found = []
    for one in ones:
        path = "/t/acme/" + one.route.path(one.arguments)
        own_keys = [None, world.globex.bearer] if one.route.is_api and who == "outsider" else [None]
        for method, headers in product(methods_of(who, one), own_keys):
            answer = visitor.send(method, path, headers=headers)
            refused = is_login(answer.location) if who == "anonymous" else answer.status == 404
            if one.route.is_api:
                refused = answer.status == 401
            found += [f"{who}: {method} {path} {fault}" for fault in answer.faults]
            found += [] if refused else [f"{who}: {method} {path} answers {answer.status} {answer.location}"]
            tried("requests under /t/acme/", who)
    return found


def with_its_objects(world: World, ones: list[Reached]) -> list[str]:
    """Globex's pages by Globex's owner, with Acme's objects in the address."""
    charlie = Visitor(world, world.globex.owner, world.acme)
    found = []
    for one in ones:
        if one.arguments == one.others:
            continue  # it names no object, or one that is nobody's
        path = "/t/globex/" + one.route.path(one.unlucky)
        for method in METHODS:
            answer = charlie.send(method, path)
            found += [f"{method} {path} {fault}" for fault in answer.faults]
            if answer.status >= 500 or (answer.status < 300 and method != "OPTIONS"):
                found.append(f"{method} {path} answers {answer.status}")
            tried("Acme's objects under /t/globex/", method)
    return found


def with_its_objects_in_fields(world: World, ones: list[Reached], names: set[str]) -> list[str]:
    """Globex's pages by Globex's owner, with Acme's objects in every field and parameter."""
    charlie = Visitor(world, world.globex.owner, world.acme)
    found = []
    for one in ones:
        path = "/t/globex/" + one.route.path(one.others)
        primary = next(iter(one.arguments.values()), str(world.acme.first("knowledge.Document").pk))
        acmes = fields(world.acme, names, primary)
        for method, query, form in (("GET", acmes, None), ("POST", acmes, acmes)):
            headers = world.globex.bearer if one.route.is_api else None
            answer = charlie.send(method, path, query=query, form=form, headers=headers)
            found += [f"{method} {path} with Acme's objects {fault}" for fault in answer.faults]
            found += [f"{method} {path} answers {answer.status}"] if answer.status >= 500 else []
            tried("Acme's objects in fields", method)
    return found


def at_the_hub(world: World, everything: Everything, who: str) -> list[str]:
    """The pages outside every workspace, with Acme's objects in the address, then in fields too."""
    visitor = Visitor(world, world.outsiders[who], world.acme)
    names = names_on_pages(everything)
    found = []
    for one in everything["hub"]:
        path = "/" + one.route.path(one.unlucky)
        acmes = fields(world.acme, names, next(iter(one.arguments.values()), str(world.acme.tenant.pk)))
        requests = [(method, None, None) for method in methods_of(who, one)] if who in METHODS_OF else []
        requests += [("GET", acmes, None)] if requests else []
        requests += [("POST", acmes, acmes)]
        for method, query, form in requests:
            answer = visitor.send(method, path, query=query, form=form, aliases=one.aliases)
            found += [f"{who}: {method} {path} {fault}" for fault in answer.faults]
            found += [f"{who}: {method} {path} answers {answer.status}"] if answer.status >= 500 else []
            tried("requests to the hub", who)
    return found
