"""Whose turn it is: step by step, as any number of publishers and workers would do it, without either."""

import re
from collections import Counter

import pytest
import redis

from config.fair.line import Line
from config.fair.scripts import NOBODY

QUEUE = "batch"


def publish(line: Line, tenant: str, *ids: str, cost_s: float | str = "", task: str = "work") -> None:
    for each in ids:
        line.put(QUEUE, each, tenant, task, cost_s, "", f"body of {each}")


def many(tenant: str, count: int) -> list[str]:
    return [f"{tenant}{number}" for number in range(count)]


def serve(line: Line, count: int, worker: str = "worker") -> list[str]:
    """The ids that a worker gets, each acknowledged before the next is taken."""
    got = []
    for _ in range(count):
        got.append(take(line, worker))
        line.acknowledge(worker, got[-1])
    return got


def take(line: Line, worker: str = "worker") -> str:
    return line.take(QUEUE, worker, "", "")[0].decode()


def tenants(ids: list[str]) -> Counter[str]:
    return Counter(each[0] for each in ids)


# --- Turns


def test_one_tenant_is_served_in_order(line: Line) -> None:
    publish(line, "a", "a1", "a2", "a3")

    assert serve(line, 3) == ["a1", "a2", "a3"]
    assert line.take(QUEUE, "worker", "", "") is None


def test_who_comes_after_a_thousand_of_anothers_waits_for_one_of_them(line: Line) -> None:
    publish(line, "a", *many("a", 1_000))
    serve(line, 100)
    publish(line, "b", "b1", "b2")
    publish(line, "c", "c1")

    assert serve(line, 6) == ["b1", "c1", "a100", "b2", "a101", "a102"]


def test_tenants_with_work_are_served_by_weight(line: Line, server: redis.Redis) -> None:
    server.hset("queue:weights", "b", 3)
    for tenant in "abc":
        publish(line, tenant, *many(tenant, 100), cost_s=1)

    assert tenants(serve(line, 50)) == {"a": 10, "b": 30, "c": 10}


def test_costly_messages_are_served_less_often(line: Line) -> None:
    publish(line, "a", *many("a", 100), cost_s=10)
    publish(line, "b", *many("b", 100), cost_s=1)

    assert tenants(serve(line, 33)) == {"a": 3, "b": 30}


def test_where_nobody_said_what_it_costs_it_is_what_the_task_took_lately(line: Line, server: redis.Redis) -> None:
    publish(line, "c", "c1", task="slow")
    taken = take(line)
    began = float(server.hget(f"queue:{QUEUE}:running", taken))
    server.hset(f"queue:{QUEUE}:running", taken, began - 8_000)
    line.acknowledge("worker", taken)
    assert float(server.hget("queue:seconds", "slow")) == pytest.approx(8, abs=0.5)

    publish(line, "a", *many("a", 50), task="slow")
    publish(line, "b", *many("b", 50), cost_s=2)

    assert tenants([take(line) for _ in range(25)]) == {"a": 5, "b": 20}


def test_what_one_did_before_an_idle_time_is_forgotten(line: Line) -> None:
    publish(line, "a", "a0", cost_s=1_000)
    serve(line, 1)

    publish(line, "a", "a1", "a2")
    publish(line, "b", "b1", "b2")

    assert serve(line, 4) == ["a1", "b1", "a2", "b2"]


def test_no_tenant_gets_ahead_by_coming_again_and_again(line: Line) -> None:
    """Who publishes one at a time, always when the last is done, is served as often as who published all at once."""
    publish(line, "a", *many("a", 20))
    got = []
    for number in range(10):
        publish(line, "b", f"b{number}")
        got += serve(line, 2)

    assert tenants(got) == {"a": 10, "b": 10}


# --- Never lost


def test_a_turn_that_was_taken_by_one_who_died_is_given_again(line: Line, server: redis.Redis) -> None:
    publish(line, "a", "a1", "a2")
    assert server.bzpopmin(f"queue:{QUEUE}:turns", 1)[1] == b"a"  # and it is killed before it does more
    assert line.take(QUEUE, "worker", "", "") is None

    line.tick("worker", "{}", 20_000, QUEUE)

    assert serve(line, 2) == ["a1", "a2"]


def test_two_who_took_a_turn_of_one_tenant_get_different_messages_or_none(line: Line, server: redis.Redis) -> None:
    publish(line, "a", "a1")
    turn = server.bzpopmin(f"queue:{QUEUE}:turns", 1)
    line.tick("other", "{}", 20_000, QUEUE)  # it looks lost
    again = server.bzpopmin(f"queue:{QUEUE}:turns", 1)

    assert line.take(QUEUE, "other", "a", again[2])[0] == b"a1"
    assert line.take(QUEUE, "worker", "a", turn[2]) is None
    assert server.zcard(f"queue:{QUEUE}:turns") == 0


def silence(server: redis.Redis, worker: str, seconds: float = 60) -> None:
    """As if it had said that it lives so long ago, and others have said so since."""
    server.zincrby("queue:consumers", -seconds * 1_000, worker)
    server.delete("queue:patience")


def test_what_a_dead_one_held_is_handed_out_again_first_and_once(line: Line, server: redis.Redis) -> None:
    publish(line, "a", *many("a", 5))
    line.tick("dead", "{}", 20_000, QUEUE)
    assert take(line, "dead") == "a0"
    silence(server, "dead")

    line.tick("worker", "{}", 20_000, QUEUE)
    line.tick("other", "{}", 20_000, QUEUE)

    tag, _body, tries = line.take(QUEUE, "worker", "", "")
    assert (tag, tries) == (b"a0", 2)
    assert serve(line, 4) == ["a1", "a2", "a3", "a4"]
    assert set(server.zrange("queue:consumers", 0, -1)) == {b"other", b"worker"}


def test_who_only_seemed_dead_settles_nothing_of_its_successor(line: Line, server: redis.Redis) -> None:
    publish(line, "a", "a1", "a2")
    line.tick("slow", "{}", 20_000, QUEUE)
    assert [take(line, "slow"), take(line, "slow")] == ["a1", "a2"]
    silence(server, "slow")
    line.tick("worker", "{}", 20_000, QUEUE)
    first = take(line, "worker")
    (waits,) = {"a1", "a2"} - {first}

    assert line.acknowledge("slow", first) == 0  # the other has it, and says when it is done
    line.acknowledge("slow", waits)  # nobody has it, and it is done

    assert line.take(QUEUE, "worker", "", "") is None
    assert line.acknowledge("worker", first) == 1
    assert left(server) == []


def test_after_a_time_without_anybody_all_have_time_to_say_that_they_live(line: Line, server: redis.Redis) -> None:
    publish(line, "a", "a1")
    line.tick("old", "{}", 20_000, QUEUE)
    take(line, "old")
    server.zincrby("queue:consumers", -60_000, "old")
    server.decrby("queue:looked", 60_000)  # the server was away for a minute, and so was everybody

    line.tick("new", "{}", 20_000, QUEUE)
    assert line.take(QUEUE, "new", "", "") is None
    line.tick("old", "{}", 20_000, QUEUE)
    server.delete("queue:patience")  # and its time passes
    line.tick("new", "{}", 20_000, QUEUE)

    assert line.take(QUEUE, "new", "", "") is None


def test_what_is_published_twice_by_a_broken_connection_is_there_once(line: Line) -> None:
    publish(line, "a", "a1", "a1")

    assert serve(line, 1) == ["a1"]
    assert line.take(QUEUE, "worker", "", "") is None


def test_what_is_to_wait_waits_and_then_takes_its_turn(line: Line, server: redis.Redis) -> None:
    at_ms = server.time()[0] * 1_000 + 60_000
    line.put(QUEUE, "later", "a", "work", "", at_ms, "body")
    line.tick("worker", "{}", 20_000, QUEUE)
    assert line.take(QUEUE, "worker", "", "") is None
    assert line.size(QUEUE) == 1

    server.zadd(f"queue:{QUEUE}:later", {"later": at_ms - 60_000})
    line.tick("worker", "{}", 20_000, QUEUE)

    assert take(line) == "later"


# --- Looking after it


def left(server: redis.Redis) -> list[str]:
    """Keys of messages and lines."""
    kinds = r":message:|:waiting:|:turns|:tenants|:running|:later|:held:|:finish|:time"
    return sorted(name.decode() for name in server.scan_iter("queue:*") if re.search(kinds, name.decode()))


def test_nothing_is_kept_of_what_is_done(line: Line, server: redis.Redis) -> None:
    publish(line, "a", *many("a", 3))
    publish(line, NOBODY, "n1")

    serve(line, 4)

    assert left(server) == []


def test_forgetting_a_tenant_leaves_the_others_alone(line: Line, server: redis.Redis) -> None:
    for tenant in "ab":
        publish(line, tenant, *many(tenant, 1_100))
        line.put(QUEUE, f"{tenant}-later", tenant, "work", "", 9e14, "body")
    held = [take(line) for _ in range(4)]

    assert line.forget(QUEUE, "a") == 1_101

    for each in held:
        line.acknowledge("worker", each)
    assert tenants(serve(line, 1_098)) == {"b": 1_098}
    assert line.size(QUEUE) == 1


def test_purging_forgets_what_waits_and_not_what_is_held(line: Line, server: redis.Redis) -> None:
    publish(line, "a", *many("a", 1_500))
    publish(line, "b", *many("b", 10))
    held = take(line)

    assert line.purge(QUEUE) == 1_509

    assert line.size(QUEUE) == 0
    assert line.acknowledge("worker", held) == 1
    assert left(server) == []
