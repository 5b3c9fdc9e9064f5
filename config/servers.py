"""The two embedded servers: how each is made, started, known to be ready, and reached."""

import contextlib
import locale
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psutil

from config import roles
from config.bootstrap import Trouble
from config.place import Place, require_room
from config.processes import Children

READY_WITHIN_SECONDS = 120  # a crash recovery may take its time
MAJOR = "18"

# Sized for a small machine that also runs the web process, the worker and a browser.
POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "max_connections": "150",
    "shared_buffers": "128MB",
    "effective_cache_size": "512MB",
    "maintenance_work_mem": "64MB",
    "max_wal_size": "512MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "io_method": "sync",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Postgres:
    def __init__(self, place: Place, *, durable: bool) -> None:
        self.place = place
        self.data = place.base / "postgres"
        self.settings = POSTGRES_SETTINGS | ({} if durable else NOT_DURABLE)
        self.settings["unix_socket_directories"] = str(place.socket_folder)
        self.durable = durable
        self.password = roles.secret(place.state, "postgres")

    def start(self, children: Children) -> None:
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        elif (found := (self.data / "PG_VERSION").read_text().strip()) != MAJOR:
            raise Trouble(
                f"The database in {self.data} was made by Postgres {found}, and this is Postgres {MAJOR}. "
                "Dump it with the old version first, or delete it with `make reset`."
            )
        self._drop_stale_pid()
        command = [str(self.place.postgres / "bin/postgres"), "-D", str(self.data)]
        for name, value in self.settings.items():
            command += ["-c", f"{name}={value}"]
        self.child = children.start(
            "postgres",
            command,
            self.place.log("postgres"),
            env=_server_env(),
            user=self.place.user,
            farewell=((signal.SIGINT, 60), (signal.SIGQUIT, 5)),  # Postgres' fast and immediate shutdown
        )

    def url(self, database: str) -> str:
        host = quote(str(self.place.socket_folder))
        return f"postgresql://postgres:{self.password}@/{database}?host={host}&port=5432"

    def env(self, database: str) -> dict[str, str]:
        admin_url, passwords = self.url("postgres"), roles.passwords(self.place.state, {})
        roles.ensure(admin_url, passwords, database=database)
        return roles.urls(admin_url, passwords, database=database)

    def _initialise(self) -> None:
        require_room(self.place.base)
        draft = self.data.with_name("postgres.new")
        shutil.rmtree(draft, ignore_errors=True)
        self.place.folder(draft)
        with self._password_file() as password_file:
            command = [
                *(str(self.place.postgres / "bin/initdb"), "--pgdata", str(draft), "--username=postgres"),
                *("--auth=scram-sha-256", f"--pwfile={password_file}", "--encoding=UTF8"),
                # The same order and the same lower case on every machine.
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
                f"--lc-ctype={_utf8_ctype()}",
                *(() if self.durable else ("--no-sync",)),
            ]
            user = self.place.user
            done = subprocess.run(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                cwd="/",
                env=_server_env(),
                user=user[0] if user else None,
                group=user[1] if user else None,
                extra_groups=[] if user else None,
            )
        log = self.place.log("postgres")
        with log.open("a") as file:
            file.write(done.stdout + done.stderr)
        if done.returncode:
            shutil.rmtree(draft, ignore_errors=True)
            raise _did_not_start("Postgres", done.stdout + done.stderr, log)
        draft.rename(self.data)

    @contextlib.contextmanager
    def _password_file(self) -> Iterator[Path]:
        path = self.place.socket_folder / "password"
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        if self.place.user:
            os.chown(path, *self.place.user)
        try:
            path.write_text(self.password)
            yield path
        finally:
            path.unlink()

    def _drop_stale_pid(self) -> None:
        """Remove a postmaster.pid whose process id now belongs to another program.

        When the id belongs to nobody, Postgres itself finds the file stale, and also looks whether backends of
        the dead server still hold its memory. So that case is left to it.
        """
        path = self.data / "postmaster.pid"
        try:
            pid = int(path.read_text().splitlines()[0])
        except (FileNotFoundError, ValueError, IndexError):
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            if self._is_server(psutil.Process(pid)):
                raise Trouble(f"Another Postgres (process {pid}) already runs on {self.data}. Stop it and start again.")
            backends = [process for process in psutil.process_iter() if self._is_server(process)]
            psutil.wait_procs(backends, timeout=5)
            path.unlink()

    def _is_server(self, process: psutil.Process) -> bool:
        try:
            return process.name() == "postgres" and Path(process.cwd()) == self.data
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False

    def ready(self) -> bool:
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(self.child.process.pid) and lines[7].strip() == "ready"

    def restart(self, children: Children) -> bool:
        """Whether it was worth starting again: backends of a killed server need a moment to notice."""
        if "pre-existing shared memory block" not in self.child.log_text():
            return False
        children.stop([self.child])
        time.sleep(0.3)
        self.start(children)
        return True


class Valkey:
    def __init__(self, place: Place, *, durable: bool) -> None:
        self.place = place
        self.durable = durable
        self.password = roles.secret(place.state, "valkey")

    def start(self, children: Children) -> None:
        self.port = _free_port()
        data = self.place.folder(self.place.base / "valkey")
        settings = [
            *("bind 127.0.0.1", f"port {self.port}", f"requirepass {self.password}", "daemonize no"),
            *(f'dir "{data}"', 'save ""', f"appendonly {'yes' if self.durable else 'no'}"),
            "maxmemory-policy noeviction",
        ]
        self.child = children.start(
            "valkey",
            [str(self.place.valkey), "-"],  # settings by standard input: arguments show in `ps`
            self.place.log("valkey"),
            env=_server_env(),
            user=self.place.user,
            stdin="\n".join(settings).encode(),
        )

    def env(self, database: str) -> dict[str, str]:
        return {"REDIS_URL": f"redis://:{quote(self.password, safe='')}@127.0.0.1:{self.port}/0"}

    def ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2 and (received := connection.recv(256)):
                    answer += received
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"

    def restart(self, children: Children) -> bool:
        """Whether it was worth starting again: another program was quicker to take the free port."""
        if "Address already in use" not in self.child.log_text():
            return False
        children.stop([self.child])
        self.start(children)
        return True


def wait_until_ready(server: Postgres | Valkey, children: Children) -> None:
    name = server.child.name.capitalize()
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while not server.ready():
        if not server.child.alive and not server.restart(children):
            raise _did_not_start(name, server.child.log_text(), server.child.log)
        if time.monotonic() > deadline:
            raise Trouble(f"{name} wasn't ready after {READY_WITHIN_SECONDS} s. Its log: {server.child.log}")
        time.sleep(0.01)


def _did_not_start(name: str, output: str, log: Path) -> Trouble:
    if "No space left on device" in output:
        return Trouble(f"{name} could not start: the disk is full. Free some space and start again. Log: {log}")
    lines = output.strip().splitlines() or ["it said nothing"]
    told = next((line for line in lines if "FATAL" in line or "error:" in line.lower()), lines[-1])
    return Trouble(f"{name} could not start: {told.strip()} Its log: {log}")


def _server_env() -> dict[str, str]:
    # Nothing of PGDATA, PGPORT and the like reaches the servers.
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "", "LC_MESSAGES": "C"}


def _utf8_ctype() -> str:
    """A UTF-8 locale that this machine has: pg_trgm asks it what a letter is."""
    current = locale.setlocale(locale.LC_CTYPE)
    try:
        for name in ("C.UTF-8", "en_US.UTF-8"):
            with contextlib.suppress(locale.Error):
                locale.setlocale(locale.LC_CTYPE, name)
                return name
        return "C"
    finally:
        locale.setlocale(locale.LC_CTYPE, current)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
