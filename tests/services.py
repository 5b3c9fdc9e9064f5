"""A Postgres and a Valkey for the tests, and the environment that the settings read. Loaded by `-p tests.services`.

They are embedded, in a folder of their own beside the ones of `make run`, and their cluster stays between runs.
A second pytest at the same time takes the next folder, and so does each process of `pytest -n`; the one that only
hands out their work has none. TEST_DATABASE_ADMIN_URL and TEST_REDIS_URL name servers to use instead; there a second
process is refused. Everything happens before pytest-django reads settings.
"""

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest

from config import embedded, roles
from config.bootstrap import STATE_DIR, Trouble
from config.processes import Taken

DATABASE = "corbel_test"
MOST_AT_ONCE = 32
GIVEN = ("TEST_DATABASE_ADMIN_URL", "TEST_REDIS_URL")
# Settings must be readable where nothing connects.
NOWHERE = dict.fromkeys(
    ("DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_PLATFORM_URL"), "postgres://nobody@127.0.0.1:1/nothing"
) | {"REDIS_URL": "redis://127.0.0.1:1"}

admin_url = ""
services: embedded.Services | None = None
media: Path | None = None
guard: psycopg.Connection | None = None


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    """Before anybody else's, pytest-django's among them."""
    try:
        reached = NOWHERE if hands_out(early_config) else serve()
    except Trouble as trouble:
        sys.exit(str(trouble))
    os.environ |= {
        "SECRET_KEY": "only for tests",
        "DEBUG": "false",
        "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
        "STATE_DIR": str(STATE_DIR),
        **reached,
    }
    # No test may reach a provider with the developer's own key.
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"):
        os.environ.pop(name, None)
    return (yield)


def hands_out(config: pytest.Config) -> bool:
    """Whether this process runs no tests itself: pytest-xdist's others do."""
    if "PYTEST_XDIST_WORKER" in os.environ or not getattr(config.known_args_namespace, "numprocesses", None):
        return False
    if named := [name for name in GIVEN if name in os.environ]:
        raise Trouble(f"The server of {named[0]} is for one process. Run pytest without -n, or make test JOBS=0.")
    return True


def serve() -> dict[str, str]:
    """Start what wasn't given; returns what leads there."""
    global admin_url, media, services
    services = start()
    media = Path(tempfile.mkdtemp(prefix="corbel-media-"))
    atexit.register(stop)  # also when pytest ends before it is configured
    env = {"REDIS_URL": os.environ.get("TEST_REDIS_URL", ""), **services.env}
    admin_url = services.admin_url
    if given := os.environ.get("TEST_DATABASE_ADMIN_URL"):
        env |= external_database(given)
        admin_url = roles.with_database(given, DATABASE)
    return {"MEDIA_ROOT": str(media), "MASTER_KEY_FILE": f"{media}.key", "TEST_DATABASE_ADMIN_URL": admin_url, **env}


def start() -> embedded.Services:
    """Services in the first test folder that no other pytest uses."""
    own_postgres, own_valkey = (name not in os.environ for name in GIVEN)
    for number in range(1, MOST_AT_ONCE + 1):
        folder = STATE_DIR / ("test" if number == 1 else f"test-{number}")
        try:
            return embedded.start(folder, durable=False, database=DATABASE, postgres=own_postgres, valkey=own_valkey)
        except Taken:
            continue
    raise Trouble(f"{MOST_AT_ONCE} pytest runs already use this checkout. Wait for one to end.")


def external_database(url: str) -> dict[str, str]:
    """Roles and the test database on a server of one's own, kept for this run alone until the process ends."""
    global guard
    passwords = roles.passwords(STATE_DIR)
    roles.ensure(url, passwords, database=DATABASE)
    guard = psycopg.connect(url, dbname=DATABASE, autocommit=True)
    if not guard.execute("SELECT pg_try_advisory_lock(hashtext('corbel tests'))").fetchone()[0]:
        raise Trouble("Another pytest run uses the database of TEST_DATABASE_ADMIN_URL. Wait for it to end.")
    return roles.urls(url, passwords, database=DATABASE)


def stop() -> None:
    global services
    if services:
        services.stop()
        shutil.rmtree(media, ignore_errors=True)
        Path(f"{media}.key").unlink(missing_ok=True)
        services = None


def pytest_unconfigure() -> None:
    stop()
