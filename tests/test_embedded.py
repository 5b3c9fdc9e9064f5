"""The embedded services and the roles in them: real clusters, in folders nobody chose to be convenient."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from config import embedded, place, roles
from config.bootstrap import ROOT, Trouble
from config.place import elsewhere
from config.processes import Taken


@pytest.fixture(scope="module")
def far_away(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder whose path is too long for a socket, below one that only its owner enters."""
    private = tmp_path_factory.mktemp("private")
    private.chmod(0o700)
    state = private / ("far-" * 30) / "state"
    yield state
    embedded.remove(state)


@pytest.fixture(scope="module")
def services(far_away: Path) -> Iterator[embedded.Services]:
    services = embedded.start(far_away, durable=False)
    yield services
    services.stop()


@pytest.fixture(scope="module")
def tables(services: embedded.Services) -> None:
    with psycopg.connect(services.env["DATABASE_OWNER_URL"]) as owner:
        owner.execute(
            """
            CREATE TABLE note (id int GENERATED ALWAYS AS IDENTITY, tenant text, body text);
            ALTER TABLE note ENABLE ROW LEVEL SECURITY;
            ALTER TABLE note FORCE ROW LEVEL SECURITY;
            CREATE POLICY own ON note USING (tenant = current_setting('app.tenant', true));
            CREATE POLICY reader ON note FOR SELECT TO corbel_reader USING (true);
            """
        )
    with psycopg.connect(services.env["DATABASE_PLATFORM_URL"]) as platform:
        platform.execute("INSERT INTO note (tenant, body) VALUES ('acme', 'ours'), ('globex', 'theirs')")


def query(url: str, statement: str) -> list[tuple]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement).fetchall()


def test_app_sees_only_the_active_tenant(services: embedded.Services, tables: None) -> None:
    with psycopg.connect(services.env["DATABASE_URL"]) as app:
        without_tenant = app.execute("SELECT body FROM note").fetchall()
        app.execute("SET app.tenant = 'acme'")
        as_acme = app.execute("SELECT body FROM note").fetchall()

    assert without_tenant == []
    assert as_acme == [("ours",)]


def test_owner_of_the_tables_is_bound_by_row_level_security_too(services: embedded.Services, tables: None) -> None:
    assert query(services.env["DATABASE_OWNER_URL"], "SELECT body FROM note") == []


def test_platform_sees_every_tenant(services: embedded.Services, tables: None) -> None:
    bodies = query(services.env["DATABASE_PLATFORM_URL"], "SELECT body FROM note ORDER BY body")

    assert bodies == [("ours",), ("theirs",)]


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE note DISABLE ROW LEVEL SECURITY",
        "SET ROLE corbel_platform",
        "SET ROLE corbel_reader",
        "ALTER ROLE corbel_app BYPASSRLS",
        "CREATE TABLE mine (id int)",
        "CREATE TEMPORARY TABLE mine (id int)",
        "CREATE SCHEMA mine",
        "TRUNCATE note",
        "COPY note TO PROGRAM 'cat'",
    ],
)
def test_app_cannot_widen_its_rights(services: embedded.Services, tables: None, statement: str) -> None:
    with (
        psycopg.connect(services.env["DATABASE_URL"]) as app,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        app.execute(statement)


def test_owner_can_hand_a_function_to_the_reader(services: embedded.Services, tables: None) -> None:
    with psycopg.connect(services.env["DATABASE_OWNER_URL"]) as owner:
        owner.execute(
            """
            CREATE FUNCTION bodies() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER
                SET search_path = public, pg_temp AS 'SELECT body FROM note ORDER BY body';
            GRANT SELECT ON note TO corbel_reader;
            ALTER FUNCTION bodies() OWNER TO corbel_reader;
            """
        )

    assert query(services.env["DATABASE_URL"], "SELECT bodies()") == [("ours",), ("theirs",)]


def test_extensions_are_there_for_the_app(services: embedded.Services) -> None:
    row = query(
        services.env["DATABASE_URL"],
        "SELECT '[1,2]'::vector <-> '[1,2]', array(SELECT extname::text FROM pg_extension ORDER BY 1)",
    )

    assert row == [(0.0, ["btree_gin", "plpgsql", "vector"])]


def test_roles_can_be_ensured_again_without_new_passwords(services: embedded.Services) -> None:
    roles.ensure(services.admin_url)

    assert query(services.env["DATABASE_URL"], "SELECT current_user::text") == [("corbel_app",)]


def test_missing_extension_names_the_package(services: embedded.Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roles, "EXTENSIONS", ("no_such_extension",))

    with pytest.raises(Trouble, match=r"lacks the extension no_such_extension\. Install the package"):
        roles.ensure(services.admin_url)


def test_wrong_password_is_a_sentence_without_the_password(services: embedded.Services) -> None:
    url = roles.url_for(services.admin_url, roles.APP, "wrong-secret", "corbel")

    with pytest.raises(Trouble, match="password authentication failed") as caught:
        roles.may_create_roles(url)

    assert "wrong-secret" not in str(caught.value)


def test_an_admin_may_create_roles_and_the_app_may_not(services: embedded.Services) -> None:
    not_there_yet = roles.with_database(services.admin_url, "not_there_yet")

    assert roles.may_create_roles(services.admin_url) is True
    assert roles.may_create_roles(not_there_yet) is True
    assert roles.may_create_roles(services.env["DATABASE_URL"]) is False


def test_queue_asks_for_its_password(services: embedded.Services) -> None:
    url = services.env["REDIS_URL"]
    place = url.rpartition("@")[2]

    with redis.Redis.from_url(url) as inside, redis.Redis.from_url(f"redis://{place}") as outside:
        assert inside.ping() is True
        with pytest.raises(redis.AuthenticationError):
            outside.ping()


def test_secrets_are_readable_by_their_owner_only(far_away: Path, services: embedded.Services) -> None:
    assert (far_away / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_second_launcher_is_told_who_holds_the_folder(far_away: Path, services: embedded.Services) -> None:
    with pytest.raises(Taken, match=f"process {os.getpid()}"):
        embedded.start(far_away)


def test_nothing_is_lost_by_stop_by_kill_or_by_a_stale_pid(tmp_path: Path) -> None:
    state = tmp_path / "state"
    first = embedded.start(state)
    with psycopg.connect(first.admin_url) as admin:
        admin.execute("CREATE TABLE kept (step text)")
        admin.execute("INSERT INTO kept VALUES ('stopped')")
    with redis.Redis.from_url(first.env["REDIS_URL"]) as queue:
        queue.set("kept", "stopped")
    first.stop()

    second = embedded.start(state)
    with psycopg.connect(second.admin_url) as admin:
        admin.execute("INSERT INTO kept VALUES ('killed')")
    with redis.Redis.from_url(second.env["REDIS_URL"]) as queue:
        queue.append("kept", ", killed")
    for child in second.children.living:
        child.kill()
    second.lock.close()
    # The killed server's process id now belongs to another program: this one.
    for pid_file in [*state.rglob("postmaster.pid"), *elsewhere(state).rglob("postmaster.pid")]:
        _, *rest = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(os.getpid()), *rest]))

    third = embedded.start(state)
    steps = query(third.admin_url, "SELECT step FROM kept ORDER BY step")
    with redis.Redis.from_url(third.env["REDIS_URL"]) as queue:
        queued = queue.get("kept")
    third.stop()
    embedded.remove(state)

    assert steps == [("killed",), ("stopped",)]
    assert queued == b"stopped, killed"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user enters; pytest's own temporary folders are closed."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_data_follows_its_state_folder(open_folder: Path) -> None:
    """Closed to the servers' user, moved, deleted: root's data lies elsewhere then, and must not be left behind."""
    state, moved = open_folder / "here" / "state", open_folder / "there" / "state"
    counts = []
    for step in ("made", "closed", "moved", "deleted"):
        if step == "closed":
            state.parent.chmod(0o700)
        if step == "moved":
            state.parent.rename(moved.parent)
            state = moved
        if step == "deleted":
            shutil.rmtree(state)
        services = embedded.start(state, durable=False)
        with psycopg.connect(services.admin_url) as admin:
            admin.execute("CREATE TABLE IF NOT EXISTS visits (step text)")
            admin.execute("INSERT INTO visits VALUES (%s)", [step])
            counts.append(admin.execute("SELECT count(*) FROM visits").fetchone()[0])
        services.stop()
    embedded.remove(state)

    assert counts == [1, 2, 3, 1]
    assert not elsewhere(state).exists()


def test_services_end_with_a_launcher_that_is_killed(tmp_path: Path) -> None:
    state = tmp_path / "state"
    script = f"""
import pathlib, sys, time
from config import embedded
services = embedded.start(pathlib.Path({str(state)!r}), durable=False)
print(*[child.process.pid for child in services.children.living], flush=True)
time.sleep(60)
"""
    launcher = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert launcher.stdout
    pids = [int(pid) for pid in launcher.stdout.readline().split()]

    launcher.send_signal(signal.SIGKILL)
    launcher.wait()
    launcher.stdout.close()
    again = embedded.start(state, durable=False)  # elsewhere than on Linux, this is what ends them
    deadline = time.monotonic() + 10
    while any(running(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    still_running = [pid for pid in pids if running(pid)]
    again.stop()
    embedded.remove(state)

    assert len(pids) == 2
    assert still_running == []


def running(pid: int) -> bool:
    psutil = pytest.importorskip("psutil")
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_full_disk_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "ROOM_FOR_A_CLUSTER_MB", 2**40)

    with pytest.raises(Trouble, match=r"MB left, and the database needs .* Free some space"):
        embedded.start(tmp_path / "state")

    embedded.remove(tmp_path / "state")


def test_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    folder = Path("/sys/corbel") if os.geteuid() == 0 else tmp_path / "state"  # root writes anywhere else

    with pytest.raises(Trouble, match=f"{folder} can't be written by user .* set STATE_DIR"):
        embedded.start(folder)
