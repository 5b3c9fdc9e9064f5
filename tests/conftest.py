"""The cast and the stage. Real Postgres as the role `corbel_app`, a real Redis protocol server, no mocks of ours.

Alice owns Acme, Bob is a member of Acme, Charlie owns Globex and must see nothing of Acme's.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from django.conf import settings as django_settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.core.management import call_command
from django.db import connections
from django.test import Client, TransactionTestCase

from apps.tenants.context import tenant_context
from apps.tenants.models import Membership, Tenant, User
from apps.tenants.signup import create_workspace

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "correct horse battery"
# Rows that a release makes; everything else is a test's.
KEPT = {"django_migrations", "django_content_type", "auth_permission", "prompts_prompt", "runs_modelprice"}


def migrations_digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(ROOT.glob("apps/*/migrations/*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def admin() -> psycopg.Connection:
    from tests.services import admin_url

    return psycopg.connect(admin_url, autocommit=True)


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


def wipe() -> None:
    """Remove what tests committed. TRUNCATE isn't the app's to do, and knows no rows to keep."""
    with admin() as connection, connection.transaction():
        names = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        ).fetchall()
        connection.execute("SET LOCAL session_replication_role = replica")
        for (name,) in names:
            if name == "prompts_promptversion":
                connection.execute("DELETE FROM prompts_promptversion WHERE tenant_id IS NOT NULL")
            elif name not in KEPT:
                connection.execute(f"DELETE FROM {name}")


TransactionTestCase._fixture_teardown = lambda self: wipe()


class QuickHasher(PBKDF2PasswordHasher):
    """Slow hashing is on purpose, and not the tests'. A server with the usual settings can check its hashes."""

    iterations = 1


django_settings.PASSWORD_HASHERS = ["tests.conftest.QuickHasher"]


@dataclass(frozen=True)
class Cast:
    alice: User
    bob: User
    charlie: User
    acme: Tenant
    globex: Tenant


def people() -> Cast:
    alice, bob, charlie = (
        User.objects.create_user(f"{name}@{domain}.example", PASSWORD, name=name.title())
        for name, domain in (("alice", "acme"), ("bob", "acme"), ("charlie", "globex"))
    )
    acme = create_workspace("Acme", owner=alice, slug="acme")
    globex = create_workspace("Globex", owner=charlie, slug="globex")
    with tenant_context(acme):
        Membership.objects.create(user=bob, role=Membership.Role.MEMBER)
    return Cast(alice, bob, charlie, acme, globex)


@pytest.fixture
def cast(db: None) -> Cast:
    return people()


@pytest.fixture
def committed_cast(transactional_db: None) -> Cast:
    """The cast, visible to other connections: for tests with threads, sockets or a second role."""
    return people()


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def media(settings: pytest.FixtureRequest, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path / "media"
    return settings.MEDIA_ROOT
