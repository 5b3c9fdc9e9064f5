"""What set-up says when it can't go on, and when it has nothing to do."""

import ast
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import bootstrap
from config.bootstrap import ROOT, Progress, Trouble
from config.processes import hold

SOURCE = ROOT / "config" / "bootstrap.py"


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone with nothing in it but the bootstrap."""
    (tmp_path / "config").mkdir()
    shutil.copy(SOURCE, tmp_path / "config")
    return tmp_path


def run(checkout: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    ours = {name: value for name, value in os.environ.items() if name not in {"STATE_DIR", "MINILM_DIR", "PORT"}}
    return subprocess.run(
        [sys.executable, str(checkout / "config" / "bootstrap.py"), *arguments],
        env=ours | env,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_parses_on_pythons_that_are_too_old() -> None:
    ast.parse(SOURCE.read_text(), feature_version=(3, 6))


def test_too_old_a_python_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "OLDEST_PYTHON", (99, 0))
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(Trouble, match=r"Corbel needs 3\.11 or newer\. Install one"):
        bootstrap.require_python()


def test_taken_port_stops_before_anything_is_made(checkout: Path, taken_port: int) -> None:
    done = run(checkout, "run", PORT=str(taken_port))

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.strip() == (
        f"Port {taken_port} is taken by another program. Stop it, or choose another port: "
        f"make run PORT={taken_port + 1}"
    )
    assert sorted(path.name for path in checkout.iterdir()) == ["config"]


@pytest.mark.parametrize("value", ["web", "0", "70000", "-1"])
def test_port_that_is_none_is_named(checkout: Path, value: str) -> None:
    done = run(checkout, "run", PORT=value)

    assert done.stderr.strip() == f"PORT is {value!r}, which is not a port number. Write one such as 8000."


def test_second_launcher_is_told_where_the_first_is(checkout: Path) -> None:
    (checkout / ".corbel").mkdir()

    with hold(checkout / ".corbel" / "lock", "process 7, http://localhost:8000"):
        done = run(checkout, "run", PORT="1024")

    assert done.stderr.strip() == (
        "Corbel already runs from this folder (process 7, http://localhost:8000). Use that one, or stop it with "
        "Ctrl-C in its terminal."
    )


def test_missing_venv_module_names_the_package(checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bootstrap, "VENV_PYTHON", tmp_path / "none")
    monkeypatch.setattr(bootstrap, "importable", lambda name: name != "ensurepip")

    with pytest.raises(Trouble, match=r"ensurepip is missing\. Install it .*python3\.\d+-venv"):
        bootstrap.make_venv(Progress(1))


def test_little_disk_space_is_told_before_it_runs_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bootstrap, "VENV_PYTHON", tmp_path / "none")
    monkeypatch.setattr(bootstrap, "ROOM_FOR_FIRST_SETUP_MB", 2**40)

    with pytest.raises(Trouble, match=r"MB left, and the first set-up needs \d+ MB\. Free some space"):
        bootstrap.make_venv(Progress(1))


def test_no_network_is_told_as_such(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bootstrap, "STATE_DIR", tmp_path)
    (tmp_path / "logs").mkdir()
    dead_proxy = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    env = {**os.environ, **dead_proxy, "UV_HTTP_RETRIES": "0"}
    command = [f"{sys.prefix}/bin/uv", "pip", "install", "--no-cache", "--target", str(tmp_path / "none"), "six"]

    with pytest.raises(Trouble) as caught:
        bootstrap.run_logged("python", command, "The Python packages", env=env)

    assert str(caught.value) == (
        "The Python packages could not be downloaded: there is no network connection, and the first start needs "
        f"one. Connect (behind a proxy, set HTTPS_PROXY) and start again. Log: {tmp_path}/logs/setup-python.log"
    )


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("OSError: [Errno 28] No space left on device", "It did not fit: the disk is full"),
        ("npm error code EUSAGE\nnpm error The lock file is old", "could not be set up: npm error The lock file"),
        ("warming up\nValueError: not the weights", "could not be set up: ValueError: not the weights"),
    ],
)
def test_failure_of_a_command_becomes_its_telling_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, told: str
) -> None:
    monkeypatch.setattr(bootstrap, "STATE_DIR", tmp_path)
    (tmp_path / "logs").mkdir()

    with pytest.raises(Trouble, match=re.escape(told)):
        bootstrap.run_logged("x", [sys.executable, "-c", f"print({said!r}); raise SystemExit(1)"], "It")


def test_second_command_is_tried_when_the_first_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bootstrap, "STATE_DIR", tmp_path)
    (tmp_path / "logs").mkdir()

    assert bootstrap.run_logged("x", ["false"], "It", otherwise=["true"]) is True


def test_test_packages_stay_when_the_site_is_started_again(checkout: Path) -> None:
    """`make run`, `make test`, `make run`, with lock files of one package and of two."""
    locks = {"run": ["six"], "test": ["six", "idna"]}
    known = (ROOT / "requirements" / "test.txt").read_text()
    (checkout / "requirements").mkdir()
    for profile, names in locks.items():
        entries = [re.search(rf"^{name}==.*\n(?: +--hash.*\n?)+", known, re.MULTILINE) for name in names]
        lock = checkout / "requirements" / f"{profile}.txt"
        lock.write_text("".join(entry.group() for entry in entries if entry))
    (checkout / "requirements" / "uv.txt").write_text("")
    tools = checkout / ".corbel" / "tools" / "uv"
    (tools / "bin").mkdir(parents=True)
    (tools / "bin" / "uv").symlink_to(f"{sys.prefix}/bin/uv")
    script = """
import sys; sys.path.insert(0, "config"); import bootstrap as b
(b.STATE_DIR / "logs").mkdir(exist_ok=True)
(b.TOOLS / "uv" / "corbel.json").write_text(b.json.dumps({"lock": b.digest([b.ROOT / "requirements" / "uv.txt"])}))
for profile in "run", "run", "test", "run":
    progress = b.Progress(1)
    b.make_venv(progress)
    progress.note = ""
    b.install_python_packages(profile, progress)
    here = {path.stem for path in b.VENV.glob("lib/python3*/site-packages/*")}
    print(b.json.dumps([progress.note, "six" in here, "idna" in here]))
"""
    env = {name: value for name, value in os.environ.items() if name != "STATE_DIR"}

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=checkout, env=env, capture_output=True, text=True, timeout=60
    )

    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        ["", True, False],
        ["unchanged", True, False],
        ["", True, True],
        ["unchanged", True, True],
    ], done.stderr


def test_moved_virtual_environment_is_made_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its scripts would start the Python of the old place."""
    stamp = tmp_path / "corbel.json"
    stamp.write_text(json.dumps({"path": "/somewhere/else/.venv"}))
    monkeypatch.setattr(bootstrap, "VENV_STAMP", stamp)
    monkeypatch.setattr(bootstrap, "ROOM_FOR_FIRST_SETUP_MB", 2**40)  # as far as this test lets it go

    with pytest.raises(Trouble, match="the first set-up needs"):
        bootstrap.make_venv(Progress(1))


def test_progress_is_one_line_a_step(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(9, done=2)

    with progress.step("Python packages"):
        progress.note = "unchanged"
    with pytest.raises(Trouble), progress.step("Front end"):
        raise Trouble("It didn't work.")

    assert capsys.readouterr().out == (
        "  3/9  Python packages ........ unchanged\n  4/9  Front end .............. stopped after 0.0 s\n"
    )
