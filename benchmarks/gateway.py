"""What our completion path adds to a model's answer: beside the model alone and, if asked for, LiteLLM's proxy.

    make bench-gateway [PEER=litellm PEER_PYTHON=/path/to/a/venv/bin/python]

The model is a stub of no latency that speaks OpenAI's wire format. Ours is one process of the real server over HTTP:
an API key, guard, route, three budgets in Postgres with durable commits, a run written and settled. The peer is its
proxy with one worker, no database and no callbacks, in a virtual environment of its own. Same client, same requests,
at 1, 16 and 64 in parallel; the servers have one core, model and client the other. Prints a table of medians.
"""

import asyncio
import contextlib
import json
import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

from .stage import stage

PARALLEL = (1, 16, 64)
CALLS = {1: 600, 16: 2_000, 64: 2_000}
WARM_UP = 200
PASSES = 3
WORDS = "lorem " * 60
MODEL = "gpt-5-mini"
STARTS_WITHIN_S = 90


@dataclass(frozen=True)
class Measured:
    """One server at one width: calls per second, and each call's milliseconds."""

    rate: float
    p50_ms: float
    p95_ms: float


async def load(url: str, key: str, width: int, calls: int) -> Measured:
    """`calls` requests over `width` connections that are kept open. Raises RuntimeError for any answer but 200."""
    target = urlsplit(url)
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": WORDS}], "max_tokens": 16}).encode()
    head = (
        f"POST {target.path} HTTP/1.1\r\nHost: {target.hostname}:{target.port}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    left = iter(range(calls))
    took: list[float] = []

    async def one_connection() -> None:
        reader, writer = await asyncio.open_connection(target.hostname, target.port)
        for _ in left:
            began = time.perf_counter()
            writer.write(head + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            fields = dict(line.split(b": ", 1) for line in answer.lower().split(b"\r\n")[1:] if b": " in line)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"{answer!r} {(await reader.read(500))!r}")
            await read_content(reader, fields)
            took.append((time.perf_counter() - began) * 1_000)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(one_connection() for _ in range(width)))
    seconds = time.perf_counter() - began
    cuts = statistics.quantiles(took, n=100)
    return Measured(calls / seconds, statistics.median(took), cuts[94])


async def read_content(reader: asyncio.StreamReader, fields: dict[bytes, bytes]) -> None:
    if b"content-length" in fields:
        await reader.readexactly(int(fields[b"content-length"]))
        return
    while size := int(await reader.readline(), 16):
        await reader.readexactly(size + 2)
    await reader.readline()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def server(command: list[str], port: int, env: dict[str, str], core: int) -> Iterator[None]:
    """A process that listens on `port`, on one core."""
    cores = os.sched_getaffinity(0)
    mine = {sorted(cores)[core % len(cores)]}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, env=env, stdout=log, stderr=log, preexec_fn=lambda: os.sched_setaffinity(0, mine)
        )
        try:
            wait_for(process, port)
            yield
        finally:
            process.terminate()
            process.wait()


def wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"{process.args} ended with {process.returncode}.")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise SystemExit(f"Nothing listens on {port} after {STARTS_WITHIN_S} s.")


def uvicorn(application: str, port: int) -> list[str]:
    return [
        *(sys.executable, "-m", "uvicorn", application, "--host", "127.0.0.1", "--port", str(port)),
        *("--log-level", "warning", "--no-access-log", "--no-proxy-headers"),
    ]


def make_workspace() -> tuple[str, str]:
    """A workspace with three budgets that hold for each call. Returns its address and an API key."""
    from django.core.management import call_command

    from apps.runs.models import Budget
    from apps.tenants import api_keys
    from apps.tenants.context import tenant_context
    from apps.tenants.models import User
    from apps.tenants.signup import create_workspace

    call_command("prompts", "sync", verbosity=0)
    call_command("prices", "sync", verbosity=0)
    owner = User.objects.create_user("owner@bench.example", None)
    workspace = create_workspace("Bench", owner=owner, slug="bench")
    with tenant_context(workspace):
        key, token = api_keys.make("bench", owner)
        for scope, subject in (("workspace", ""), ("feature", "api"), ("api_key", str(key.pk))):
            Budget.objects.create(scope=scope, subject=subject, cap_usd=Decimal(1_000_000))
    return workspace.slug, token


def check_books() -> str:
    """What the ledger says of all the calls that were made."""
    from apps.runs.models import Run, Spend
    from apps.tenants.context import tenant_context
    from apps.tenants.models import Tenant
    from apps.tenants.platform import PLATFORM

    tenant = Tenant.objects.using(PLATFORM).get(slug="bench")
    with tenant_context(tenant):
        spend = Spend.objects.get(scope="workspace")
        costs = sum(Run.objects.values_list("cost_usd", flat=True), Decimal(0))
        number = Run.objects.count()
    if (spend.month_usd, spend.month_reserved_usd) != (costs, 0):
        raise SystemExit(
            f"The ledger has {spend.month_usd}, {spend.month_reserved_usd} reserved; the runs cost {costs}."
        )
    return f"{number:,} runs, ${costs} in the ledger as in the runs, nothing reserved"


def row(name: str, by_width: dict[int, Measured], alone: dict[int, Measured]) -> str:
    cells = []
    for width in PARALLEL:
        here, base = by_width[width], alone[width]
        cells.append(f"{here.rate:7.0f}/s  {here.p50_ms:7.1f} {here.p95_ms:7.1f}  +{here.p50_ms - base.p50_ms:6.1f}")
    return f"{name:14} " + " | ".join(cells)


def medians(passes: list[Measured]) -> Measured:
    return Measured(*(statistics.median(getattr(one, name) for one in passes) for name in Measured.__annotations__))


def main() -> None:
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[-1]} if len(os.sched_getaffinity(0)) > 1 else {0})
    everywhere = set(range(os.cpu_count() or 1))
    model_port, ours_port, peer_port = free_port(), free_port(), free_port()
    peer = os.environ.get("PEER", "")
    with contextlib.ExitStack() as stack:
        os.sched_setaffinity(0, everywhere)
        stack.enter_context(stage(durable=True))
        slug, token = make_workspace()
        env = os.environ | {
            "OPENAI_API_KEY": "sk-stub",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{model_port}/v1",
            "OPENAI_MODEL": MODEL,
        }
        stack.enter_context(server(uvicorn("benchmarks.zero_latency:app", model_port), model_port, dict(env), 1))
        stack.enter_context(server(uvicorn("config.asgi:application", ours_port), ours_port, dict(env), 0))
        servers = {
            "the model": (f"http://127.0.0.1:{model_port}/v1/chat/completions", "sk-stub"),
            "ours": (f"http://127.0.0.1:{ours_port}/t/{slug}/api/v1/chat/completions", token),
        }
        if peer == "litellm":
            servers["LiteLLM"] = (f"http://127.0.0.1:{peer_port}/v1/chat/completions", "sk-peer")
            stack.enter_context(litellm(peer_port, model_port))
        elif peer:
            raise SystemExit(f"PEER={peer} is not known here. Leave it out, or write PEER=litellm.")
        os.sched_setaffinity(0, {max(everywhere)})
        measured = asyncio.run(measure(servers))
        os.sched_setaffinity(0, everywhere)
        print(f"{'':14} " + " | ".join(f"{width:3} in parallel: calls, p50, p95, added p50 (ms)" for width in PARALLEL))
        for name, by_width in measured.items():
            print(row(name, by_width, measured["the model"]))
        print(check_books())


async def measure(servers: dict[str, tuple[str, str]]) -> dict[str, dict[int, Measured]]:
    """The median of three passes, in which the servers take turns."""
    passes: dict[str, dict[int, list[Measured]]] = {name: {width: [] for width in PARALLEL} for name in servers}
    for url, key in servers.values():
        await load(url, key, 8, WARM_UP)
    for _ in range(PASSES):
        for width in PARALLEL:
            for name, (url, key) in servers.items():
                calls = CALLS[width] // (4 if name == "LiteLLM" else 1)
                passes[name][width].append(await load(url, key, width, calls))
    return {name: {width: medians(found) for width, found in by_width.items()} for name, by_width in passes.items()}


@contextlib.contextmanager
def litellm(port: int, model_port: int) -> Iterator[None]:
    python = os.environ.get("PEER_PYTHON")
    if not python:
        raise SystemExit("PEER=litellm needs PEER_PYTHON: the Python of a virtual environment with litellm[proxy].")
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "config.yaml"
        settings.write_text(
            json.dumps(
                {
                    "model_list": [
                        {
                            "model_name": MODEL,
                            "litellm_params": {
                                "model": f"openai/{MODEL}",
                                "api_base": f"http://127.0.0.1:{model_port}/v1",
                                "api_key": "sk-stub",
                            },
                        }
                    ],
                    "general_settings": {"master_key": "sk-peer"},
                }
            )
        )
        command = [
            *(str(Path(python).with_name("litellm")), "--config", str(settings), "--host", "127.0.0.1"),
            *("--port", str(port), "--num_workers", "1"),
        ]
        quiet = {
            "LITELLM_LOG": "ERROR",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_SALT_KEY": secrets.token_hex(8),
        }
        env = {name: value for name, value in os.environ.items() if not name.startswith(("DATABASE", "REDIS"))}
        with server(command, port, env | quiet, 0):
            yield


if __name__ == "__main__":
    main()
