"""Beat: what is due is done once, whoever is running."""

import redis

from config.beat import HOLDER, LAST, Lease, Scheduler
from config.celery import app
from tests.waiting import messages

EVERY_S = {"sweep": 60, "tidy": 3_600}


def rewind(server: redis.Redis, name: str, seconds: float) -> None:
    server.hincrbyfloat(LAST, name, -seconds)


def test_what_is_due_is_due_once(server: redis.Redis) -> None:
    lease = Lease(server)

    assert lease.due(EVERY_S) == ["sweep", "tidy"]
    assert lease.due(EVERY_S) == []
    rewind(server, "sweep", 61)
    assert lease.due(EVERY_S) == ["sweep"]


def test_a_second_one_does_nothing_until_the_first_is_gone(server: redis.Redis) -> None:
    first, second = Lease(server), Lease(server)
    assert first.due(EVERY_S) == ["sweep", "tidy"]
    rewind(server, "sweep", 61)

    assert second.due(EVERY_S) is None
    assert first.due(EVERY_S) == ["sweep"]

    first.leave()
    rewind(server, "sweep", 61)
    assert second.due(EVERY_S) == ["sweep"]
    assert first.due(EVERY_S) is None


def test_a_dead_one_is_followed_within_half_a_minute(server: redis.Redis) -> None:
    Lease(server).due(EVERY_S)

    assert 0 < server.pttl(HOLDER) <= 30_000

    server.delete(HOLDER)  # as time does
    rewind(server, "tidy", 3_601)
    assert Lease(server).due(EVERY_S) == ["tidy"]  # and what the dead one did isn't done again


def test_what_is_due_is_queued_and_not_again_by_one_that_starts_anew(server: redis.Redis) -> None:
    first = Scheduler(app)
    first.tick()
    names = sorted(each["headers"]["task"] for each in messages())
    assert names == sorted(app.conf.beat_schedule)
    first.close()

    second = Scheduler(app)
    second.tick()
    second.close()

    assert len(messages()) == len(names)
