"""A Postgres and a Valkey for the tests, and the environment that the settings read. Loaded by `-p tests.services`.

They are embedded, in a folder of their own beside the ones of `make run`, and their cluster stays between runs.
A second pytest at the same time takes the next folder. TEST_DATABASE_ADMIN_URL and TEST_REDIS_URL name servers to
use instead; there a second pytest is refused. Everything happens at import, before pytest-django reads settings.
"""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

import psycopg

from config import embedded, roles
from config.bootstrap import STATE_DIR, Trouble
from config.processes import Taken

DATABASE = "corbel_test"
MOST_AT_ONCE = 8


def start() -> embedded.Services:
    """Services in the first test folder that no other pytest uses."""
    own_postgres, own_valkey = "TEST_DATABASE_ADMIN_URL" not in os.environ, "TEST_REDIS_URL" not in os.environ
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
    services.stop()
    shutil.rmtree(media, ignore_errors=True)


def pytest_unconfigure() -> None:
    atexit.unregister(stop)
    stop()


guard: psycopg.Connection | None = None
try:
    services = start()
    media = Path(tempfile.mkdtemp(prefix="corbel-media-"))
    atexit.register(stop)  # also when pytest ends before it is configured
    if given := os.environ.get("TEST_DATABASE_ADMIN_URL"):
        services.env |= external_database(given)
        admin_url = roles.with_database(given, DATABASE)
    else:
        admin_url = services.admin_url
except Trouble as trouble:
    sys.exit(str(trouble))

os.environ |= {
    "SECRET_KEY": "only for tests",
    "DEBUG": "false",
    "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
    "STATE_DIR": str(STATE_DIR),
    "MEDIA_ROOT": str(media),
    "REDIS_URL": os.environ.get("TEST_REDIS_URL", ""),
    "TEST_DATABASE_ADMIN_URL": admin_url,
    **services.env,
}
# No test may reach a provider with the developer's own key.
for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"):
    os.environ.pop(name, None)
