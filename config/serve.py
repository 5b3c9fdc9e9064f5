"""The second half of `make run`: services, tables, web, worker and beat, until Ctrl-C.

Runs inside the virtual environment that config.bootstrap made. Postgres and Valkey are embedded unless DATABASE_URL
or REDIS_URL name others. Django isn't imported here: only its processes need it. What they were told is in
STATE_DIR/env while they run, so that `manage.py shell` finds the same services.
"""

import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException

from psycopg import sql

from config import embedded, roles
from config.bootstrap import (
    ROOT,
    STATE_DIR,
    STEPS_OF_RUN,
    STEPS_OF_SETUP,
    Progress,
    Trouble,
    digest,
    port,
    require_free_port,
    sources,
)
from config.processes import Child, Taken

READY_WITHIN_SECONDS = 90
REPEATED_SIGNAL_SECONDS = 1  # make and a process group pass the same signal on twice
WORTH_SHOWING = re.compile(r"\b(ERROR|CRITICAL)\b")
MOST_LINES_SHOWN = 5

WEB_STOPS = ((signal.SIGTERM, 15),)
WORKER_STOPS = ((signal.SIGTERM, 25), (signal.SIGQUIT, 5))  # finish the tasks; hand them back to the queue

USERS = (
    ("Acme", "alice@acme.example", "owner"),
    ("", "bob@acme.example", "member"),
    ("Globex", "charlie@globex.example", "owner"),
    ("Platform", "admin@corbel.example", "at /platform/"),
)
UNDER_WAY = STATE_DIR / "under-way"  # there while it runs, and after a kill
PASSWORD = "corbel-demo"  # noqa: S105  (of the seeded users, printed below)


def main() -> int:
    patience = Patience()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, patience.on_signal)
    services: embedded.Services | None = None
    code = 0
    try:
        progress = Progress(STEPS_OF_RUN, done=STEPS_OF_SETUP)
        with progress.step("Postgres and Valkey"):
            services = start_services()
        require_free_port(port())
        (STATE_DIR / "media").mkdir(mode=0o700, exist_ok=True)  # others may pass through the state folder
        env = environment(services.env)
        write_env_file(env)
        with progress.step("Tables and seed data"):
            prepare(services, env, progress)
        with progress.step("Web, worker and beat"):
            children = [start_web(services, env), start_worker(services, env), start_beat(services, env)]
            wait_until_ready(children)
        print(welcome(), flush=True)
        watch(services)
    except Taken as taken:
        code = complain(f"Corbel already runs from this folder ({taken.holder}). Stop it there first.")
    except Trouble as trouble:
        code = complain(str(trouble))
    except KeyboardInterrupt:
        print(flush=True)
    finally:
        patience.stopping = True
        if services:
            stop(services, patience)
            if not patience.hurry:
                UNDER_WAY.unlink(missing_ok=True)
    return code


@dataclass
class Patience:
    """The first signal interrupts; one that comes while we stop makes us hurry."""

    stopping: bool = False
    hurry: bool = False
    interrupted_at: float = field(default=0.0)

    def on_signal(self, number: int, frame: object) -> None:
        now = time.monotonic()
        if self.stopping:
            self.hurry = self.hurry or now - self.interrupted_at > REPEATED_SIGNAL_SECONDS
        elif not self.interrupted_at:
            self.interrupted_at = now
            raise KeyboardInterrupt


def start_services() -> embedded.Services:
    """Embedded services, except where the environment names others; roles in a database we are admin of."""
    database_url, redis_url = os.environ.get("DATABASE_URL", ""), os.environ.get("REDIS_URL", "")
    given: dict[str, str] = {}
    if database_url:
        given |= urls_of(database_url)
    if redis_url:
        require_redis(redis_url)
        given["REDIS_URL"] = redis_url
    services = embedded.start(
        STATE_DIR,
        postgres=not database_url,
        valkey=not redis_url,
        note=f"process {os.getpid()}, http://localhost:{port()}",
    )
    services.env |= given
    return services


def urls_of(database_url: str) -> dict[str, str]:
    """The three URLs of a server of one's own. An admin's URL is used to make the roles, never to serve."""
    owner, platform = os.environ.get("DATABASE_OWNER_URL"), os.environ.get("DATABASE_PLATFORM_URL")
    if owner and platform:
        return {"DATABASE_URL": database_url, "DATABASE_OWNER_URL": owner, "DATABASE_PLATFORM_URL": platform}
    if roles.may_create_roles(database_url):
        with embedded.in_sentences(STATE_DIR):
            passwords = roles.passwords(STATE_DIR)
            roles.ensure(database_url, passwords)
        return roles.urls(database_url, passwords)
    raise Trouble(
        "DATABASE_URL is the URL of a role that can't create roles, so DATABASE_OWNER_URL and DATABASE_PLATFORM_URL "
        "are needed beside it. Or give an admin's URL as DATABASE_URL, and the roles are made for you."
    )


def require_redis(url: str) -> None:
    import redis

    try:
        with contextlib.closing(redis.Redis.from_url(url, socket_connect_timeout=5)) as connection:
            connection.ping()
    except (redis.RedisError, ValueError) as error:
        raise Trouble(f"The server of REDIS_URL doesn't answer ({error}). Start it, or unset REDIS_URL.") from error


def environment(services_env: Mapping[str, str]) -> dict[str, str]:
    """What the processes are told. What the caller's environment sets wins, except where services are."""
    defaults = {
        "DEBUG": "true",
        "ALLOWED_HOSTS": "localhost,127.0.0.1,[::1]",
        "PUBLIC_URL": f"http://localhost:{port()}",
    }
    told = {name: os.environ.get(name) or value for name, value in defaults.items()}
    told["BILLING"] = os.environ.get("BILLING") or ("stripe" if os.environ.get("STRIPE_SECRET_KEY") else "local")
    told["SECRET_KEY"] = os.environ.get("SECRET_KEY") or roles.secret(STATE_DIR, "SECRET_KEY")
    return {**told, "STATE_DIR": str(STATE_DIR), **services_env}


def write_env_file(env: Mapping[str, str]) -> None:
    path = STATE_DIR / "env"
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}={value}\n" for name, value in env.items()))


def prepare(services: embedded.Services, env: Mapping[str, str], progress: Progress) -> None:
    """Migrate and seed, unless this very code did so to this very database: its comment says which code did.

    After a kill there may be work that nobody holds any more; preparing takes it up.
    """
    wanted = f"prepared by {digest(sources(ROOT / 'apps', ROOT / 'config', ROOT / 'requirements'))}"
    was_killed = UNDER_WAY.exists()
    UNDER_WAY.touch()
    if services.admin_url and comment(services.admin_url) == wanted and not was_killed:
        progress.note = "unchanged"
        return
    child = start(services, "prepare", [sys.executable, "manage.py", "prepare", "--seed", "--alone"], env)
    while child.alive:
        time.sleep(0.02)
    services.children.stop([child])
    if child.process.returncode:
        raise died(child, "The tables or the seed data could not be brought up to date.")
    if services.admin_url:
        comment(services.admin_url, wanted)


def comment(admin_url: str, text: str | None = None) -> str | None:
    """The comment on the database of `admin_url`, after setting it to `text` if that is given."""
    with roles.connect(admin_url) as admin:
        if text is not None:
            database = sql.Identifier(admin.info.dbname)
            admin.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(database, sql.Literal(text)))
        statement = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
        row = admin.execute(statement).fetchone()
    return row[0] if row else None


def start_web(services: embedded.Services, env: Mapping[str, str]) -> Child:
    command = [
        *(sys.executable, "-m", "uvicorn", "config.asgi:application", "--lifespan", "on", "--no-proxy-headers"),
        *("--host", "127.0.0.1", "--port", str(port()), "--timeout-graceful-shutdown", "10"),
    ]
    return start(services, "web", command, without_owner(env), WEB_STOPS)


def start_worker(services: embedded.Services, env: Mapping[str, str]) -> Child:
    """One for all queues: what somebody waits for comes before anything else."""
    command = [
        *(sys.executable, "-m", "celery", "-A", "config.celery", "worker", "--loglevel", "info"),
        *("--pool", "prefork", "--concurrency", "2", "--without-mingle", "--without-gossip"),
    ]
    return start(services, "worker", command, without_owner(env), WORKER_STOPS)


def start_beat(services: embedded.Services, env: Mapping[str, str]) -> Child:
    command = [
        *(sys.executable, "-m", "celery", "-A", "config.celery", "beat", "--loglevel", "info"),
        *("--scheduler", "config.beat.Scheduler"),
    ]
    return start(services, "beat", command, without_owner(env))


def without_owner(env: Mapping[str, str]) -> dict[str, str]:
    """Web and worker never get the password of the role that owns the tables."""
    return {name: value for name, value in env.items() if name != "DATABASE_OWNER_URL"}


def start(
    services: embedded.Services,
    name: str,
    command: list[str],
    env: Mapping[str, str],
    farewell: tuple[tuple[signal.Signals, float], ...] = WEB_STOPS,
) -> Child:
    log = STATE_DIR / "logs" / f"{name}.log"
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
    theirs = {**os.environ, **env, "PYTHONUNBUFFERED": "1"}
    if "DATABASE_OWNER_URL" not in env:
        theirs.pop("DATABASE_OWNER_URL", None)
    return services.children.start(name, command, log, env=theirs, cwd=ROOT, farewell=farewell)


def wait_until_ready(children: list[Child]) -> None:
    checks = {"web": web_answers, "worker": worker_is_ready, "beat": beat_is_ready}
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    waiting = list(children)
    while waiting:
        for child in children:
            if not child.alive:
                raise died(child)
        waiting = [child for child in waiting if not checks[child.name](child)]
        if time.monotonic() > deadline:
            raise died(waiting[0], f"The {waiting[0].name} wasn't ready after {READY_WITHIN_SECONDS} s.")
        time.sleep(0.05)


def web_answers(child: Child) -> bool:
    connection = HTTPConnection("127.0.0.1", port(), timeout=5)
    try:
        connection.request("GET", "/healthz", headers={"Host": "localhost"})
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def worker_is_ready(child: Child) -> bool:
    return " ready." in child.log_text()


def beat_is_ready(child: Child) -> bool:
    return "beat: Starting" in child.log_text()


def watch(services: embedded.Services) -> None:
    """Return never: until a signal interrupts or a child dies. Shows what the processes log as errors."""
    shown = {child.name: child.log.stat().st_size for child in services.children.living}
    while True:
        for child in services.children.living:
            if not child.alive:
                raise died(child)
            if child.name in {"web", "worker", "beat"}:
                shown[child.name] = show_errors(child, shown[child.name])
        time.sleep(0.25)


def show_errors(child: Child, position: int) -> int:
    """Print what `child` logged as errors after `position`. Returns where to go on."""
    if child.log.stat().st_size <= position:
        return position
    with child.log.open("rb") as log:
        log.seek(position)
        fresh, newline, _ = log.read().rpartition(b"\n")
    lines = [line for line in fresh.decode(errors="replace").splitlines() if WORTH_SHOWING.search(line)]
    for line in lines[:MOST_LINES_SHOWN]:
        print(f"  {child.name}: {line[:300]}", flush=True)
    if lines:
        print(f"  (more in {child.log})", flush=True)
    return position + len(fresh) + len(newline)


def died(child: Child, sentence: str = "") -> Trouble:
    sentence = sentence or f"The {child.name} process ended by itself (code {child.process.returncode})."
    return Trouble(f"{sentence} The last lines of {child.log}:\n\n{child.log_tail()}")


def stop(services: embedded.Services, patience: Patience) -> None:
    """Web, worker and beat finish what they are at, then Valkey and Postgres write everything down."""
    began = time.monotonic()
    print("  Stopping (Ctrl-C again to hurry) ... ", end="", flush=True)
    (STATE_DIR / "env").unlink(missing_ok=True)
    ours = [child for child in services.children.living if child.name not in {"postgres", "valkey"}]
    killed = services.children.stop(ours, hurry=lambda: patience.hurry)
    services.stop(hurry=lambda: patience.hurry)
    print(f"{time.monotonic() - began:.1f} s", flush=True)
    for child in killed:
        print(f"  The {child.name} did not stop in time and was killed. Its log: {child.log}", flush=True)


def welcome() -> str:
    """The box printed when everything runs."""
    address = f"http://localhost:{port()}"
    lines = [f"Corbel runs at {address}", ""]
    lines += [f"{workspace:10}{email:26}{role}" for workspace, email, role in USERS]
    lines += ["", f"Password of all four: {PASSWORD}", f"Logs and e-mails: {STATE_DIR / 'logs'}", "Stop with Ctrl-C"]
    width = max(len(line) for line in lines) + 4
    top_left, top_right, bottom_left, bottom_right, flat, upright = list("┌┐└┘─│")
    try:
        top_left.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        top_left = top_right = bottom_left = bottom_right = "+"
        flat, upright = "-", "|"
    body = [f"  {upright}  {line.ljust(width - 2)}{upright}" for line in lines]
    head, foot = f"  {top_left}{flat * width}{top_right}", f"  {bottom_left}{flat * width}{bottom_right}"
    return "\n".join(["", head, *body, foot, ""])


def complain(sentence: str) -> int:
    print(f"\n{sentence}\n", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
