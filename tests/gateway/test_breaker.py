"""Circuits over a real Redis, with tiny times; other processes are real ones."""

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
import redis
from django.conf import settings
from redis.asyncio import Redis

from apps.runs.gateway import circuits
from apps.runs.gateway.breaker import Permit, RedisCircuits, Rules, Verdict, circuit_key
from apps.runs.gateway.circuits import Circuit

ROOT = Path(circuits.__file__).parents[3]
TENANT, KEY_ID = UUID(int=1), UUID(int=2)
QUICK = Rules(cool_off_s=0.02, longest_cool_off_s=0.07, hearsay_s=0)

PROGRAM = """
import asyncio, sys, threading
from concurrent.futures import ThreadPoolExecutor
from redis.asyncio import Redis
from apps.runs.gateway.breaker import RedisCircuits, Rules

url, circuit, work = sys.argv[1:]
began, ready = threading.Event(), threading.Barrier(5)

async def four_callers():
    async with Redis.from_url(url) as client:
        breaker = RedisCircuits(client, Rules(lease_s=1 if work == "die" else 240, hearsay_s=0))
        await client.ping()
        ready.wait()
        began.wait()
        if work == "fail":
            for _ in range(10):
                if permit := await breaker.enter(circuit):
                    await breaker.leave(permit, "failed")
        return [permit for permit in await asyncio.gather(*(breaker.enter(circuit) for _ in range(4))) if permit]

with ThreadPoolExecutor(4) as pool:
    loops = [pool.submit(asyncio.run, four_callers()) for _ in range(4)]
    ready.wait()
    print("ready", flush=True)
    sys.stdin.readline()
    began.set()
    print(sum(len(loop.result()) for loop in loops), flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def server() -> Iterator[redis.Redis]:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        yield client
        if names := list(client.scan_iter("*circuit:test*")):
            client.delete(*names)


@pytest_asyncio.fixture(loop_scope="session")
async def client(server: redis.Redis) -> AsyncIterator[Redis]:
    async with Redis.from_url(settings.REDIS_URL) as connection:
        yield connection


@pytest.fixture
def name() -> str:
    return circuit_key("test", uuid4().hex)


async def until(condition: Callable[[], Awaitable[object]], within_s: float = 10) -> object:
    deadline = time.monotonic() + within_s
    while not (found := await condition()):
        assert time.monotonic() < deadline, "it never happened"
        await asyncio.sleep(0.005)
    return found


async def end(breaker: RedisCircuits, name: str, *verdicts: Verdict, retry_after_s: float | None = None) -> None:
    for verdict in verdicts:
        permit = await breaker.enter(name)
        assert permit
        await breaker.leave(permit, verdict, retry_after_s)


async def opened(client: Redis, name: str, rules: Rules = QUICK) -> RedisCircuits:
    breaker = RedisCircuits(client, rules)
    await end(breaker, name, *["failed"] * 10)
    return breaker


async def probing(client: Redis, name: str, rules: Rules = QUICK) -> tuple[RedisCircuits, Permit]:
    breaker = await opened(client, name, rules)
    permit = await until(lambda: breaker.enter(name))
    assert isinstance(permit, Permit)
    return breaker, permit


def read(server: redis.Redis, name: str, window_s: float = 60) -> Circuit:
    return circuits.read(server, [name], window_s)[0]


def redis_s(server: redis.Redis) -> float:
    seconds, microseconds = server.time()
    return seconds + microseconds / 1e6


def other_process(name: str, work: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, settings.REDIS_URL, name, work],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def answer(process: subprocess.Popen[str]) -> int:
    assert process.stdout
    return int(process.stdout.readline())


@pytest.mark.parametrize(
    ("provider", "model", "whose"),
    [
        ("openai", "gpt-5-mini", ()),
        ("a:b", "llama3:8b", ()),
        ("own", "openai/gpt-5: free", (TENANT, KEY_ID)),
    ],
)
def test_a_name_says_whose_account_it_is(provider: str, model: str, whose: tuple[UUID, ...]) -> None:
    name = circuit_key(provider, model, *whose)

    assert name.startswith(f"tenant:{TENANT}:circuit:" if whose else "circuit:")
    assert circuits.split(name) == (provider, model, TENANT if whose else None)


def test_names_of_nobodys_are_refused() -> None:
    with pytest.raises(ValueError, match="one of its keys"):
        circuit_key("openai", "gpt-5-mini", TENANT)
    with pytest.raises(ValueError, match="No circuit"):
        circuits.split("celery")


async def test_a_few_failures_open_nothing(client: Redis, server: redis.Redis, name: str) -> None:
    breaker = RedisCircuits(client)

    await end(breaker, name, *["failed"] * 9)
    before = read(server, name)
    await end(breaker, name, "failed")
    after = read(server, name)

    assert (before.state, before.calls, before.failed) == ("closed", 9, 9)
    assert (after.state, after.calls, after.failed_percent, after.reason) == ("open", 10, 100, "failures")
    assert 28 <= after.open_for_s <= 30
    assert await breaker.enter(name) is None


async def test_it_opens_at_half_and_not_below(client: Redis, server: redis.Redis, name: str) -> None:
    breaker = RedisCircuits(client)

    await end(breaker, name, *["ok"] * 11, *["failed"] * 10)
    below = read(server, name)
    await end(breaker, name, "failed")

    assert (below.state, below.calls, below.failed) == ("closed", 21, 10)
    assert read(server, name).state == "open"


async def test_what_is_older_than_the_window_is_forgotten(client: Redis, server: redis.Redis, name: str) -> None:
    rules = Rules(window_s=0.3, hearsay_s=0)
    breaker = RedisCircuits(client, rules)

    async def forgotten() -> bool:
        return read(server, name, rules.window_s).calls == 0

    await end(breaker, name, *["failed"] * 9)
    await until(forgotten)
    await end(breaker, name, "failed")

    assert read(server, name).state == "closed"
    assert len([field for field in server.hkeys(name) if field.startswith(b"failed:")]) == 1


async def test_of_64_callers_in_16_loops_of_4_processes_one_probes(
    client: Redis, server: redis.Redis, name: str
) -> None:
    processes = [other_process(name, "ask") for _ in range(4)]
    await opened(client, name)

    async def half_open() -> bool:
        return read(server, name).state == "half-open"

    await until(half_open)
    for process in processes:
        go(process)
    let_through = [answer(process) for process in processes]
    for process in processes:
        process.communicate("\n")

    assert sum(let_through) == 1


async def test_when_who_probes_is_killed_another_may(client: Redis, server: redis.Redis, name: str) -> None:
    process = other_process(name, "die")
    breaker = await opened(client, name)

    async def half_open() -> bool:
        return read(server, name).state == "half-open"

    await until(half_open)
    go(process)
    assert answer(process) == 1
    process.kill()
    process.communicate()

    assert await until(lambda: breaker.enter(name))


@pytest.mark.parametrize("verdict", ["ok", "failed", "nothing"])
async def test_who_lost_the_lease_decides_nothing(
    client: Redis, server: redis.Redis, name: str, verdict: Verdict
) -> None:
    slow, lost = await probing(client, name, Rules(cool_off_s=0.02, lease_s=0.02, hearsay_s=0))
    other = RedisCircuits(client, QUICK)
    assert await until(lambda: other.enter(name))

    await slow.leave(lost, verdict)

    assert read(server, name).is_probing
    assert await other.enter(name) is None


async def test_a_probe_that_ends_well_closes(client: Redis, server: redis.Redis, name: str) -> None:
    breaker, permit = await probing(client, name)

    assert await breaker.enter(name) is None
    await breaker.leave(permit, "ok")

    assert read(server, name) == Circuit(name, *circuits.split(name))
    await end(breaker, name, *["failed"] * 9)
    assert read(server, name).state == "closed"


async def test_each_failed_probe_doubles_the_cool_off(client: Redis, server: redis.Redis, name: str) -> None:
    breaker, permit = await probing(client, name)

    for pause_s in (0.04, 0.07, 0.07):
        before = redis_s(server)
        await breaker.leave(permit, "failed")
        after, circuit = redis_s(server), read(server, name)
        assert circuit.open_until
        assert before + pause_s - 0.001 <= circuit.open_until.timestamp() <= after + pause_s
        assert circuit.reason == "probe"
        permit = await until(lambda: breaker.enter(name))  # type: ignore[assignment]


async def test_calls_from_before_it_closed_do_not_open_it_again(client: Redis, server: redis.Redis, name: str) -> None:
    hanging = [await RedisCircuits(client, QUICK).enter(name) for _ in range(20)]
    breaker, permit = await probing(client, name)
    await breaker.leave(permit, "ok")

    for old in hanging:
        assert old
        await breaker.leave(old, "failed", retry_after_s=60)

    assert (read(server, name).state, read(server, name).failed) == ("closed", 0)


async def test_a_cancelled_call_counts_as_nothing(client: Redis, server: redis.Redis, name: str) -> None:
    breaker = RedisCircuits(client)

    await end(breaker, name, *["nothing"] * 20, *["failed"] * 9)

    assert (read(server, name).state, read(server, name).calls) == ("closed", 9)


async def test_a_cancelled_probe_lets_the_next_caller_probe(client: Redis, name: str) -> None:
    breaker, permit = await probing(client, name)

    await breaker.leave(permit, "nothing")

    next_permit = await breaker.enter(name)
    assert next_permit
    assert next_permit.token not in ("", permit.token)


@pytest.mark.parametrize("turns", range(0, 24, 3))
async def test_who_is_cancelled_while_entering_keeps_no_lease(client: Redis, name: str, turns: int) -> None:
    breaker, permit = await probing(client, name)
    await breaker.leave(permit, "nothing")

    entering = asyncio.ensure_future(breaker.enter(name))
    for _ in range(turns):
        await asyncio.sleep(0)
    if entering.cancel():
        await asyncio.wait({entering})
        assert await until(lambda: breaker.enter(name))


@pytest.mark.parametrize(("asked_s", "open_s"), [(9, 0), (float("nan"), 0), (20, 30), (120, 120), (1e9, 600)])
async def test_a_provider_that_asks_for_long_is_left_alone(
    client: Redis, server: redis.Redis, name: str, asked_s: float, open_s: int
) -> None:
    before = redis_s(server)

    await end(RedisCircuits(client), name, "failed", retry_after_s=asked_s)

    circuit = read(server, name)
    assert circuit.state == ("open" if open_s else "closed")
    if circuit.open_until:
        assert before + open_s - 0.001 <= circuit.open_until.timestamp() <= redis_s(server) + open_s


async def test_who_hears_later_how_long_to_wait_says_so(client: Redis, server: redis.Redis, name: str) -> None:
    permit = await RedisCircuits(client).enter(name)
    breaker = await opened(client, name, Rules())
    assert permit

    await breaker.leave(permit, "failed", retry_after_s=120)

    until_s = read(server, name).open_until
    assert until_s and until_s.timestamp() > redis_s(server) + 100


async def test_a_refused_key_opens_its_own_circuit_alone(
    client: Redis, server: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    model = uuid4().hex
    own = circuit_key("test", model, TENANT, KEY_ID)
    others = [circuit_key("test", model), circuit_key("test", model, UUID(int=3), KEY_ID)]
    breaker = RedisCircuits(client)

    await end(breaker, own, "key")

    assert await breaker.enter(own) is None
    assert all([await breaker.enter(other) for other in others])
    assert read(server, own).reason == "key"
    (record,) = caplog.records
    assert (record.levelno, record.args) == (logging.ERROR, (own, 30))


async def test_processes_share_what_they_know(client: Redis, name: str) -> None:
    breaker = RedisCircuits(client)
    await end(breaker, name, "ok")
    process = other_process(name, "fail")

    async def closed_to_us() -> bool:
        return await breaker.enter(name) is None

    go(process)
    assert answer(process) == 0
    process.communicate("\n")

    await until(closed_to_us, within_s=5)


def test_successes_are_reported_though_the_loop_ends(server: redis.Redis, name: str) -> None:
    async def one_call() -> None:
        client = Redis.from_url(settings.REDIS_URL)
        await end(RedisCircuits(client), name, "ok")

    asyncio.run(one_call())

    assert read(server, name).calls == 1


async def test_what_is_closed_is_asked_about_ten_times_a_second(client: Redis, server: redis.Redis, name: str) -> None:
    breaker = RedisCircuits(client, Rules(hearsay_s=5))
    await end(breaker, name, "ok")
    calls = server.info("commandstats")["cmdstat_evalsha"]["calls"]

    await end(breaker, name, *["ok"] * 100)

    assert server.info("commandstats")["cmdstat_evalsha"]["calls"] == calls


async def test_an_operator_closes_it(client: Redis, server: redis.Redis, name: str) -> None:
    breaker = await opened(client, name, Rules())
    assert name in circuits.names(server)

    assert circuits.close(server, name)

    assert await breaker.enter(name)
    assert not circuits.close(server, name)
    with pytest.raises(ValueError, match="No circuit"):
        circuits.close(server, "celery")


class Way:
    """The way to Redis, which can be cut: then connections are accepted, and nobody answers."""

    def __init__(self) -> None:
        self.is_cut = True
        self.asked = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        if self.is_cut:
            await reader.read(-1)
        else:
            there = urlsplit(settings.REDIS_URL)
            from_redis, to_redis = await asyncio.open_connection(there.hostname, there.port)
            await asyncio.gather(pour(reader, to_redis), pour(from_redis, writer))
        writer.close()

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator["Way"]:
        way = cls()
        async with await asyncio.start_server(way.serve, "127.0.0.1", 0) as listener:
            port, there = listener.sockets[0].getsockname()[1], urlsplit(settings.REDIS_URL)
            way.url = there._replace(netloc=there.netloc.replace(f":{there.port}", f":{port}")).geturl()
            yield way


async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65_536):
        writer.write(piece)
    writer.close()


async def test_calls_go_on_while_redis_hangs_and_hardly_wait(
    server: redis.Redis, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Way.open() as way, Redis.from_url(way.url) as client:
        breaker = RedisCircuits(client, Rules(hearsay_s=0))

        began = time.monotonic()
        assert await breaker.enter(name)
        first_s = time.monotonic() - began
        for _ in range(100):
            await end(breaker, name, "failed")
        others_s = time.monotonic() - began - first_s

        assert (first_s < 1, others_s < 0.2, way.asked) == (True, True, 1)
        assert len(caplog.records) == 1

        async def counted() -> int:
            await end(breaker, name, "failed")
            return read(server, name).failed

        way.is_cut = False
        assert await until(counted)


async def test_calls_go_on_while_nothing_listens(name: str, caplog: pytest.LogCaptureFixture) -> None:
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
    async with Redis.from_url(f"redis://127.0.0.1:{port}") as client:
        breaker = RedisCircuits(client)
        began = time.monotonic()

        for _ in range(100):
            await end(breaker, name, "failed", retry_after_s=60)

        assert time.monotonic() - began < 1
        assert len(caplog.records) == 1
