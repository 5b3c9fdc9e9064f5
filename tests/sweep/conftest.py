"""One world for the whole sweep, committed: other connections, sockets and roles must see it.

Tests leave Acme's data as they found it; `unchanged` checks that after each.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.conftest import admin

from . import logs
from .driver import driver
from .reached import Reached, reach_everything
from .stage import staged
from .state import State, changed, files, state
from .world import World, not_planted


@pytest.fixture(scope="package")
def media_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="package")
def world(django_db_setup: None, django_db_blocker: pytest.FixtureRequest, media_root: Path) -> Iterator[World]:
    with django_db_blocker.unblock(), staged(media_root) as made:
        if missing := not_planted(made):
            pytest.fail("\n".join(missing))
        yield made


@pytest.fixture(scope="package")
def reached(world: World, django_db_blocker: pytest.FixtureRequest) -> dict[str, list[Reached]]:
    with django_db_blocker.unblock():
        return reach_everything(world)


@pytest.fixture(scope="package")
def acmes_state(world: World) -> Iterator[Callable[[], State]]:
    """Everything of Acme's that is committed, as a superuser sees it."""
    with admin() as superuser, superuser.cursor() as cursor:
        yield lambda: state(cursor, world.acme) | files(world.acme)


@pytest.fixture(scope="package")
def at_first(acmes_state: Callable[[], State]) -> State:
    return acmes_state()


@pytest.fixture(autouse=True)
def unchanged(
    world: World, at_first: State, acmes_state: Callable[[], State], django_db_blocker: pytest.FixtureRequest
) -> Iterator[None]:
    """What was committed of Acme's is there after each test, and what the test logged tells no secret."""
    with django_db_blocker.unblock(), logs.watched(world) as said:
        yield
        assert changed(at_first, acmes_state()) == []
    assert said == []


@pytest.fixture(scope="package")
def app(world: World) -> Iterator[psycopg.Connection]:
    """The role that web and workers have, over a plain connection."""
    with driver("default") as connection:
        yield connection
