"""An upgrade: what kombu's own transport left in Redis joins the fair queues."""

import json
import time

import redis

from config.celery import app
from config.fair.adopt import HELD_FOR_S, adopt
from tests.waiting import messages

from .app import say


def test_what_waited_and_what_a_worker_had_is_moved_once(server: redis.Redis) -> None:
    with app.connection_for_write(transport="redis") as stock:
        for number in range(3):
            say.apply_async([f"{number}"], connection=stock, queue="ingest", headers={"tenant_id": "a"})
        stock.default_channel.client.rename("ingest", "celery")
        stock.default_channel.basic_get("celery")
        stock.default_channel.do_restore = False  # its worker is killed
    assert (server.llen("celery"), server.hlen("unacked")) == (2, 1)
    server.zadd("unacked_index", {server.zrange("unacked_index", 0, 0)[0]: time.time() - HELD_FOR_S})

    assert adopt(server) == 3
    assert adopt(server) == 0

    assert server.exists("celery", "unacked", "unacked_index") == 0
    assert len(messages()) == 3
    with app.connection_for_read() as ours:
        moved = ours.SimpleQueue("interactive").get(block=False)
        assert (moved.headers["task"], moved.headers["tenant_id"]) == (say.name, "a")
        assert json.loads(moved.body)[0] == ["0"]
        moved.ack()
    assert len(messages()) == 2


def test_what_a_worker_of_then_still_has_is_left_to_it(server: redis.Redis) -> None:
    with app.connection_for_write(transport="redis") as stock:
        say.apply_async(["x"], connection=stock, queue="ingest")
        stock.default_channel.client.rename("ingest", "celery")
        taken = stock.default_channel.basic_get("celery")

        assert adopt(server) == 0
        taken.ack()

    assert server.exists("celery", "unacked") == 0
