"""Every route, by everybody who has no business there."""

import pytest

from apps.tenants.models import Membership
from apps.tenants.permissions import ROLES_ALLOWED

from . import faults
from .attack import Visitor
from .faults import Everything
from .reached import names_on_pages
from .report import none, size, tried
from .world import World

Role = Membership.Role

# Where a view is rightly stricter than its permission: the route and the role, and why.
FINER: dict[tuple[str, str], str] = {}


def test_owners_reach_every_route_and_see_their_own(world: World, reached: Everything) -> None:
    everything = [*reached["hub"], *reached["workspace"]]
    found = [one.missing for one in everything if one.missing]
    found += [f"{one.method} {one.route}: {one.answer.status}" for one in everything if one.answer.status >= 500]
    seen = sum(world.acme.mark in one.answer.text for one in reached["workspace"])
    size("route", len(everything))
    size("role", len(world.outsiders) + len(world.acme.people))
    for site, ones in reached.items():
        tried("routes reached", site, len(ones))
    tried("routes that show Acme to Acme", "", seen)
    none(found)
    assert seen > 5


@pytest.mark.parametrize("who", ["outsider", "anonymous", "nobody", "removed", "staff"])
def test_who_is_no_member_gets_nothing_under_the_workspaces_address(
    world: World, reached: Everything, who: str
) -> None:
    none(faults.under_its_address(world, reached["workspace"], who))


def test_another_workspaces_objects_are_not_found_in_ones_own(world: World, reached: Everything) -> None:
    none(faults.with_its_objects(world, reached["workspace"]))


def test_another_workspaces_objects_in_fields_do_nothing(world: World, reached: Everything) -> None:
    none(faults.with_its_objects_in_fields(world, reached["workspace"], names_on_pages(reached)))


@pytest.mark.parametrize("who", ["outsider", "anonymous", "nobody", "removed"])
def test_the_hub_gives_nothing_of_a_workspace_away(world: World, reached: Everything, who: str) -> None:
    none(faults.at_the_hub(world, reached, who))


def test_the_platforms_staff_read_no_content(world: World, reached: Everything) -> None:
    """They see whose workspaces there are and what those cost, and nothing that was written or asked in them."""
    staff = Visitor(world, world.outsiders["staff"], None)
    content = [f"{world.acme.mark}{model}" for model in ("document", "chunk", "conversation", "message", "citation")]
    found = []
    for one in reached["hub"]:
        if one.route.is_admin:
            path = "/" + one.route.path(one.arguments)
            answer = staff.send("GET", path, aliases=one.aliases)
            found += [f"{path} shows {word}" for word in content if word in answer.text]
            tried("pages of the platform's admin", "staff")
    none(found)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MEMBER, Role.ADMIN])
def test_roles_get_what_the_table_says(world: World, reached: Everything, role: str) -> None:
    visitor = Visitor(world, world.acme.people[role], None)
    found = []
    for one in reached["workspace"]:
        path = "/t/acme/" + one.route.path(one.arguments)
        status = visitor.send(one.method, path).status
        if one.route.is_api:
            found += [] if status == 401 else [f"{role}: {one.method} {path} answers {status}, not 401, to a session"]
        elif role not in ROLES_ALLOWED[one.route.view.permission]:
            found += [] if status == 403 else [f"{role}: {one.method} {path} answers {status}, not 403"]
        elif status >= 500 or (status == 403 != one.answer.status and (one.route.name, role) not in FINER):
            found.append(f"{role}: {one.method} {path} answers {status}, and the table allows it")
        tried("routes by role", role)
    none(found)
