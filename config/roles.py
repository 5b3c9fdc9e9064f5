"""Who may do what in Postgres: four roles, one database, its extensions.

    python -m config.roles ADMIN_URL

creates what is missing and prints the three URLs that the application needs. It can run any number of times.
ADMIN_URL (or DATABASE_ADMIN_URL in the environment) is a superuser's, or that of a role with CREATEROLE and
BYPASSRLS. The database is the one it names; `postgres` or none means `corbel`.

    corbel_owner     owns the tables; only migrations connect as it
    corbel_app       web and workers; row-level security binds it
    corbel_platform  BYPASSRLS; the platform's own admin and jobs
    corbel_reader    can't log in; owns the search function. The owner may SET ROLE to it, but doesn't inherit it,
                     so that a policy written for the reader opens nothing to the owner

Passwords come from CORBEL_OWNER_PASSWORD, CORBEL_APP_PASSWORD and CORBEL_PLATFORM_PASSWORD, or are made once and
kept in STATE_DIR/secrets.json.
"""

import argparse
import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from config.bootstrap import STATE_DIR, Trouble

OWNER, APP, PLATFORM, READER = "corbel_owner", "corbel_app", "corbel_platform", "corbel_reader"
ATTRIBUTES = {
    OWNER: "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS",
    APP: "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS",
    PLATFORM: "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE BYPASSRLS",
    READER: "NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS",
}
EXTENSIONS = ("vector", "btree_gin")  # embeddings; a tenant and its words in one index
OLDEST_SERVER = 16  # the first that grants membership without inheritance
NONE: Mapping[str, str] = MappingProxyType({})
NOT_OURS = {"", "postgres", "template0", "template1"}


def secret(state: Path, name: str) -> str:
    """The secret called `name`, made on first use and kept in `state`/secrets.json, readable by its owner only."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = state / "secrets.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    if name not in kept:
        kept[name] = secrets.token_urlsafe(36)
        draft = path.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(kept, indent=2))
        draft.replace(path)
    return kept[name]


def passwords(state: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    return {role: environ.get(f"{role.upper()}_PASSWORD") or secret(state, role) for role in (OWNER, APP, PLATFORM)}


def ensure(admin_url: str, passwords: Mapping[str, str] = NONE, *, database: str = "") -> None:
    """Bring the server behind `admin_url` to the state described above. What is so already stays.

    passwords: by role; a role that isn't named keeps its own.
    database: which database; default is the one `admin_url` names.
    Raises Trouble if the server can't be reached, an extension isn't installed or the admin may not do this.
    """
    database = database or named_database(admin_url)
    try:
        with _connect_to(admin_url, database) as admin, admin.transaction():
            if admin.info.server_version < OLDEST_SERVER * 10_000:
                raise Trouble(
                    f"This Postgres is version {admin.info.server_version // 10_000}, and Corbel needs "
                    f"{OLDEST_SERVER} or newer (18 is what it is tested with). Use a newer server."
                )
            # Two set-ups at once would trip over each other's CREATE ROLE.
            admin.execute("SELECT pg_advisory_xact_lock(hashtext('corbel roles'))")
            _create_roles(admin, passwords)
            _create_extensions(admin)
            _grant(admin, database)
    except psycopg.errors.InsufficientPrivilege as error:
        raise Trouble(
            f"The database role may not do what set-up needs ({error.diag.message_primary}). "
            "Use a superuser's URL, or a role with CREATEROLE, CREATEDB and BYPASSRLS."
        ) from error


def urls(admin_url: str, passwords: Mapping[str, str], *, database: str = "") -> dict[str, str]:
    """The connection URLs of the three roles that log in, under the names that the settings read."""
    database = database or named_database(admin_url)
    names = {"DATABASE_URL": APP, "DATABASE_OWNER_URL": OWNER, "DATABASE_PLATFORM_URL": PLATFORM}
    return {name: url_for(admin_url, role, passwords[role], database) for name, role in names.items()}


def connect(url: str) -> psycopg.Connection:
    """A connection in autocommit mode. Raises Trouble with the server's reason, never with the URL."""
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=10)
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        raise Trouble(
            f"Postgres refused the connection ({reason}). Check the database URL, and that the server runs."
        ) from error


def may_create_roles(url: str) -> bool:
    """Whether the role of `url` can do the set-up itself; its database need not exist yet."""
    try:
        connection = connect(url)
    except Trouble as trouble:
        try:
            connection = connect(with_database(url, "postgres"))
        except Trouble:
            raise trouble from None
    with connection:
        row = connection.execute(
            "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
    return bool(row and row[0])


def named_database(admin_url: str) -> str:
    name = unquote(urlsplit(admin_url).path.strip("/"))
    return "corbel" if name in NOT_OURS else name


def url_for(admin_url: str, role: str, password: str, database: str) -> str:
    """`admin_url` with another role, password and database; host and options stay."""
    parts = urlsplit(admin_url)
    place = parts.netloc.rpartition("@")[2]
    options = [(key, value) for key, value in parse_qsl(parts.query) if key not in {"user", "password", "dbname"}]
    netloc = f"{role}:{quote(password, safe='')}@{place}"
    return urlunsplit((parts.scheme, netloc, f"/{quote(database)}", urlencode(options, safe="/", quote_via=quote), ""))


def with_database(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{quote(database)}"))


def _connect_to(admin_url: str, database: str) -> psycopg.Connection:
    """A connection to `database`, which is created if the server has none of that name."""
    try:
        return connect(with_database(admin_url, database))
    except Trouble:
        with connect(with_database(admin_url, "postgres")) as server:
            if server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
                raise
            server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        return connect(with_database(admin_url, database))


def _create_roles(admin: psycopg.Connection, passwords: Mapping[str, str]) -> None:
    rows = admin.execute("SELECT rolname, rolcanlogin, rolsuper, rolbypassrls FROM pg_roles").fetchall()
    known = {name: attributes for name, *attributes in rows}
    for role, attributes in ATTRIBUTES.items():
        name, options = sql.Identifier(role), sql.SQL(attributes)
        if role not in known:
            admin.execute(sql.SQL("CREATE ROLE {} {}").format(name, options))
        elif known[role] != [role != READER, False, role == PLATFORM]:
            admin.execute(sql.SQL("ALTER ROLE {} {}").format(name, options))
        if role in passwords:
            # Hashed here, so that a server that logs statements doesn't log the password.
            hashed = admin.pgconn.encrypt_password(passwords[role].encode(), role.encode(), b"scram-sha-256")
            admin.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, sql.Literal(hashed.decode())))


def _create_extensions(admin: psycopg.Connection) -> None:
    rows = admin.execute("SELECT name, installed_version FROM pg_available_extensions").fetchall()
    available: dict[str, str | None] = dict(rows)
    for name in EXTENSIONS:
        if name not in available:
            package = "pgvector (Debian: postgresql-18-pgvector)" if name == "vector" else "postgresql-contrib"
            raise Trouble(
                f"This Postgres server lacks the extension {name}. "
                f"Install the package {package} on the database machine and start again."
            )
        if available[name] is None:
            admin.execute(sql.SQL("CREATE EXTENSION {} WITH SCHEMA public").format(sql.Identifier(name)))


def _grant(admin: psycopg.Connection, database: str) -> None:
    if admin.execute("SELECT 1 FROM pg_roles WHERE rolname = current_user AND NOT rolsuper").fetchone():
        admin.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(OWNER)))
    statements = f"""
        REVOKE ALL ON DATABASE {{database}} FROM PUBLIC;
        GRANT CONNECT ON DATABASE {{database}} TO {OWNER}, {APP}, {PLATFORM};
        GRANT CREATE, TEMPORARY ON DATABASE {{database}} TO {OWNER};
        GRANT {READER} TO {OWNER} WITH INHERIT FALSE, SET TRUE;
        REVOKE ALL ON SCHEMA public FROM PUBLIC;
        GRANT USAGE, CREATE ON SCHEMA public TO {OWNER};
    """
    admin.execute(sql.SQL(statements).format(database=sql.Identifier(database)))
    admin.execute(grants("public"))


def grants(schema: str) -> sql.Composed:
    """What the roles may do in a schema that holds tenants' tables: `public`, or a silo. Its owner may execute it."""
    statements = f"""
        GRANT USAGE ON SCHEMA {{schema}} TO {APP}, {PLATFORM}, {READER};
        GRANT CREATE ON SCHEMA {{schema}} TO {READER};
        ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA {{schema}}
            GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {APP}, {PLATFORM};
        ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA {{schema}}
            GRANT USAGE ON SEQUENCES TO {APP}, {PLATFORM};
    """
    return sql.SQL(statements).format(schema=sql.Identifier(schema))


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m config.roles", description="Create roles and database.")
    parser.add_argument("admin_url", nargs="?", default=os.environ.get("DATABASE_ADMIN_URL"))
    parser.add_argument("--quiet", action="store_true", help="don't print the URLs, which hold passwords")
    options = parser.parse_args(arguments)
    if not options.admin_url:
        parser.error("give the admin's URL, or set DATABASE_ADMIN_URL")
    try:
        known = passwords(STATE_DIR)
        ensure(options.admin_url, known)
    except Trouble as trouble:
        sys.exit(str(trouble))
    if not options.quiet:
        sys.stdout.writelines(f"{name}={url}\n" for name, url in urls(options.admin_url, known).items())


if __name__ == "__main__":
    main(sys.argv[1:])
