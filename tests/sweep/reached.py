"""Every route as those use it whose it is: which method it answers, and which arguments lead somewhere."""

import re
from dataclasses import dataclass

from . import routes
from .attack import Answer, Visitor
from .routes import NOT_REACHED, SECRETS, Arguments, Route
from .world import Side, World

NOWHERE = {404, 405}
BOTH = ("default", "platform")


@dataclass(frozen=True)
class Reached:
    """A route, and the first request to it that its own people got an answer to."""

    route: Route
    method: str
    arguments: Arguments
    others: Arguments  # Globex's, found in the same place
    answer: Answer

    @property
    def unlucky(self) -> Arguments:
        """Acme's arguments as an outsider may come to know them."""
        return {name: value[:-4] + "1111" if name in SECRETS else value for name, value in self.arguments.items()}

    @property
    def aliases(self) -> tuple[str, ...]:
        """By which the route's view may write."""
        return BOTH if self.route.site == "hub" and self.route.is_admin else ("default",)

    @property
    def missing(self) -> str:
        """What to do about a route that even its own people don't reach; empty if they do."""
        if self.answer.status not in NOWHERE or self.route.name in NOT_REACHED:
            return ""
        return (
            f"{self.route} answers {self.answer.status} whatever is tried. Give FILLERS in tests/sweep/routes.py what "
            f"{', '.join(self.route.parameters) or 'it'} takes, under {self.route.name!r}; or say in NOT_REACHED why."
        )


def reach_everything(world: World) -> dict[str, list[Reached]]:
    """Every route by site. The hub's admin is its staff's, an invitation that of who was invited, all else Acme's."""
    owner = Visitor(world, world.acme.owner, None)
    staff, invited = (Visitor(world, user, None) for user in (world.outsiders["staff"], world.invited))
    others = {"admin": staff, "invitation": invited}
    return {
        "hub": [reach(world, route, others.get(route.name.split(":")[0], owner), "/", BOTH) for route in routes.hub()],
        "workspace": [reach(world, route, owner, "/t/acme/", BOTH[:1]) for route in routes.workspace()],
    }


def reach(world: World, route: Route, visitor: Visitor, prefix: str, aliases: tuple[str, ...]) -> Reached:
    """The first arguments that lead anywhere. Where none do, the last: attacks are made with them all the same."""
    nothing = dict.fromkeys(route.parameters, "0")
    found = Reached(route, "GET", nothing, nothing, Answer(404, "", "", []))
    for arguments, others in zip(route.candidates(world.acme), route.candidates(world.globex), strict=False):
        headers = world.acme.bearer if route.is_api else None
        for method in ("GET", "POST"):
            answer = visitor.send(method, prefix + route.path(arguments), aliases=aliases, headers=headers)
            found = Reached(route, method, arguments, others, answer)
            if answer.status not in NOWHERE:
                return found
    return found


def names_on_pages(reached: dict[str, list[Reached]]) -> set[str]:
    """Every name of a field or of a query's parameter that Acme's owner meets."""
    pages = "".join(one.answer.text for one in reached["workspace"])
    return set(re.findall(r'\bname="([\w-]+)"', pages)) | set(re.findall(r"[?;]([\w-]+)=", pages))


def fields(side: Side, names: set[str], primary: str) -> dict[str, str]:
    """The side's objects under every name that might be taken for one, those `names` among them."""
    by_model = {model._meta.model_name: str(rows[0].pk) for model, rows in side.rows.items()}
    guesses = {"passage": by_model["chunk"], "tenant": str(side.tenant.pk), "workspace": str(side.tenant.pk)}
    known = by_model | {f"{name}_id": value for name, value in by_model.items()} | guesses
    fitting = {name: known.get(name, primary) for name in names | {"id", "pk", "slug", "next"}}
    return known | fitting | {"slug": side.tenant.slug, "q": "secret text", "tenant_slug": side.tenant.slug}
