"""The cast and the stage. Real Postgres as the role `corbel_app`, a real Redis protocol server, no mocks of ours.

Alice owns Acme, Bob is a member of Acme, Charlie owns Globex and must see nothing of Acme's.

Tests marked `pool_and_silo` run twice: with Acme in the pool, and with Acme in a schema of its own.
"""

import functools
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import redis
from django.conf import settings as django_settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.core.cache import cache
from django.core.management import call_command
from django.db import connections
from django.test import Client, TransactionTestCase
from whitenoise.middleware import WhiteNoiseMiddleware

from apps.tenants import silo
from apps.tenants.context import schema_of, tenant_context
from apps.tenants.migrate import as_owner
from apps.tenants.models import Membership, Tenant, User
from apps.tenants.signup import create_workspace

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "correct horse battery"
# Rows that a release makes; everything else is a test's.
KEPT = {
    *("django_migrations", "django_content_type", "auth_permission"),
    *("runs_modelprice", "tenants_policyrevision"),
}

# A silo's tables take a second to make. These are made once, and lent to whoever is Acme by renaming the schema.
LENT = "silo_of_the_tests"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "pool_and_silo: the cast's Acme is in the pool, then in a silo")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    is_said = any(mark.args[0] == "kind" for mark in metafunc.definition.iter_markers("parametrize"))
    if "kind" in metafunc.fixturenames and not is_said and metafunc.definition.get_closest_marker("pool_and_silo"):
        metafunc.parametrize("kind", ["pool", "silo"], indirect=True)


in_the_pool, in_a_silo = (pytest.mark.parametrize("kind", [kind], indirect=True) for kind in ("pool", "silo"))


def migrations_digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(ROOT.glob("apps/*/migrations/*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def admin() -> psycopg.Connection:
    from tests.services import admin_url

    return psycopg.connect(admin_url, autocommit=True)


_kept: list[psycopg.Connection] = []


def kept_admin() -> psycopg.Connection:
    """One for what is done after each test: a new one would have to learn all the tables first."""
    if not _kept or _kept[0].closed:
        _kept[:] = [admin()]
    return _kept[0]


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    """Migrate as the owner and load what a release loads. The database lives on between runs; one made by other
    migrations is begun anew."""
    wanted = migrations_digest()
    with admin() as connection:
        made_by = connection.execute(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
        ).fetchone()[0]
        if made_by not in (None, wanted):
            connection.execute("DROP OWNED BY corbel_reader; DROP OWNED BY corbel_owner")
            from config import roles

            roles.ensure(os.environ["TEST_DATABASE_ADMIN_URL"])
    with django_db_blocker.unblock():
        call_command("migrate", verbosity=0)
        call_command("prompts", "sync", verbosity=0)
        call_command("prices", "sync", verbosity=0)
        make_silo_to_lend()
        for alias in connections:
            connections[alias].close()
    with admin() as connection:
        name = connection.info.dbname
        connection.execute(f"COMMENT ON DATABASE {name} IS '{wanted}'")
    wipe()
    yield
    for alias in connections:
        connections[alias].close()
        connections[alias].close_pool()
    kept_admin().close()


def make_silo_to_lend() -> None:
    with admin() as connection:
        take_silo_back()
        if connection.execute("SELECT to_regnamespace(%s)", [LENT]).fetchone()[0]:
            return
        with as_owner():
            silo.create(LENT)
        connection.execute(f"COMMENT ON SCHEMA {LENT} IS '{LENT}'")


def take_silo_back() -> None:
    connection = kept_admin()
    lent = "SELECT nspname FROM pg_namespace WHERE obj_description(oid, 'pg_namespace') = %s AND nspname <> %s"
    for (schema,) in connection.execute(lent, [LENT, LENT]).fetchall():
        connection.execute(f"ALTER SCHEMA {schema} RENAME TO {LENT}")


def wipe() -> None:
    """Remove what tests committed. TRUNCATE isn't the app's to do, and knows no rows to keep."""
    take_silo_back()
    connection = kept_admin()
    silos = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ '^t_[0-9a-f]{32}'").fetchall()
    names = connection.execute(
        "SELECT oid::regclass::text, relname FROM pg_class"
        " WHERE relnamespace IN ('public'::regnamespace, to_regnamespace(%s)) AND relkind = 'r'",
        [LENT],
    ).fetchall()
    steps = [f"DROP SCHEMA {schema} CASCADE" for (schema,) in silos]
    steps.append("SET LOCAL session_replication_role = replica")
    for table, name in names:
        if name in ("prompts_prompt", "prompts_promptversion", "prompts_publication"):
            steps.append(f"DELETE FROM {table} WHERE tenant_id IS NOT NULL")
        elif name not in KEPT:
            steps.append(f"DELETE FROM {table}")
    # Without its triggers nobody would notice, and what was everybody's is kept in memory.
    steps.append("UPDATE tenants_policyrevision SET revision = revision + 1")
    connection.execute(";".join(steps))  # one message, and so one transaction


TransactionTestCase._fixture_teardown = lambda self: wipe()


class QuickHasher(PBKDF2PasswordHasher):
    """Slow hashing is on purpose, and not the tests'. A server with the usual settings can check its hashes."""

    iterations = 1


django_settings.PASSWORD_HASHERS = ["tests.conftest.QuickHasher"]


def look_at_static_files_once() -> None:
    """Each client of a test makes the middlewares anew, and WhiteNoise's reads the folders of static files then. What
    it found the first time serves the others."""
    read, found = WhiteNoiseMiddleware.add_files_from_finders, {}

    def add_files_from_finders(self: WhiteNoiseMiddleware) -> None:
        if not found:
            read(self)
            found.update(self.files)
        self.files.update(found)

    WhiteNoiseMiddleware.add_files_from_finders = add_files_from_finders


look_at_static_files_once()


@dataclass(frozen=True)
class Cast:
    alice: User
    bob: User
    charlie: User
    acme: Tenant
    globex: Tenant


def people(kind: str = "pool") -> Cast:
    alice, bob, charlie = (
        User.objects.create_user(f"{name}@{domain}.example", PASSWORD, name=name.title())
        for name, domain in (("alice", "acme"), ("bob", "acme"), ("charlie", "globex"))
    )
    acme = create_workspace("Acme", owner=alice, slug="acme")
    globex = create_workspace("Globex", owner=charlie, slug="globex")
    with tenant_context(acme):
        Membership.objects.create(user=bob, role=Membership.Role.MEMBER)
    if kind == "silo":
        with admin() as connection:
            connection.execute(f"ALTER SCHEMA {LENT} RENAME TO {schema_of(acme.id)}")
    return Cast(alice, bob, charlie, acme, globex)


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where Acme's documents and conversations are: "pool" or "silo"."""
    yield getattr(request, "param", "pool")
    take_silo_back()


@pytest.fixture
def cast(db: None, kind: str) -> Cast:
    return people(kind)


@pytest.fixture
def committed_cast(transactional_db: None, kind: str) -> Cast:
    """The cast, visible to other connections: for tests with threads, sockets or a second role."""
    return people(kind)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture(autouse=True)
def empty_cache() -> None:
    """Rate limits are counted in it, by address, and every test comes from the same one."""
    cache.clear()


@pytest.fixture(autouse=True)
def closed_circuits() -> None:
    """A provider that failed in one test is well in the next."""
    server = kept_redis()
    if names := list(server.scan_iter("*circuit:*", count=1_000)):
        server.delete(*names)


@functools.cache
def kept_redis() -> redis.Redis:
    return redis.Redis.from_url(django_settings.REDIS_URL)


@pytest.fixture
def media(settings: pytest.FixtureRequest, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path / "media"
    return settings.MEDIA_ROOT
