"""The sweep finds what leaks: pages that do, each in another way, are in its findings."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from django.test import override_settings
from django.urls import clear_url_caches

from apps.knowledge.models import Document

from . import faults, leaky_urls, report, routes
from .attack import Visitor
from .reached import Reached, reach
from .world import World, not_planted


@pytest.fixture(scope="module")
def leaky(world: World, django_db_blocker: pytest.FixtureRequest) -> Iterator[dict[str, Reached]]:
    """Leaking pages as Acme's owner reaches them, by name. What is tried here doesn't count."""
    given = override_settings(WORKSPACE_URLCONF=leaky_urls.__name__)
    with django_db_blocker.unblock(), given, report.aside():
        clear_url_caches()
        owner = Visitor(world, world.acme.owner, None)
        leaking = [route for route in routes.workspace() if route.view.__module__ == leaky_urls.__name__]
        yield {route.name: reach(world, route, owner, "/t/acme/", ("default",)) for route in leaking}
    clear_url_caches()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("shows", "tells 'acme-secret-document-title-1'"),
        ("redirects", "tells 'acme-secret-document-title-1"),
        ("sets_cookie", "tells 'acme-secret-document-title-1"),
        ("tells_whose", "tells '{tenant}'"),
        ("changes", "changes knowledge_document: "),
        ("answers", "answers 200"),
    ],
)
def test_a_page_that_leaks_by_its_address(world: World, leaky: dict[str, Reached], name: str, says: str) -> None:
    found = faults.with_its_objects(world, [leaky[name]])

    assert any(says.format(tenant=world.acme.tenant.pk) in fault for fault in found), found


def test_a_page_that_leaks_by_a_field(world: World, leaky: dict[str, Reached]) -> None:
    found = faults.with_its_objects_in_fields(world, [leaky["reads_field"]], set())

    assert len(found) == 2 and all("tells 'acme-secret-document-title-1'" in fault for fault in found)


def test_a_page_without_a_permission_is_never_served(leaky: dict[str, Reached]) -> None:
    assert leaky["unmarked"].answer.status == 500


def test_a_page_whose_arguments_nobody_can_fill(leaky: dict[str, Reached]) -> None:
    assert leaky["is_never_found"].missing == (
        "workspace is_never_found (shelves/%(shelf)s/%(book)s/) answers 404 whatever is tried. Give FILLERS in "
        "tests/sweep/routes.py what shelf, book takes, under 'is_never_found'; or say in NOT_REACHED why."
    )
    assert [name for name, one in leaky.items() if one.missing] == ["is_never_found"]


def test_a_table_that_is_empty(world: World) -> None:
    poorer = replace(world, acme=replace(world.acme, rows={**world.acme.rows, Document: []}))

    assert not_planted(poorer) == [
        "knowledge.Document has no row of acme's: give PLANTED in tests/sweep/world.py a line for it."
    ]
