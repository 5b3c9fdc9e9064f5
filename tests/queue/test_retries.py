"""What becomes of a task that fails: again, when, or given up and kept."""

import threading
from datetime import timedelta
from smtplib import SMTPDataError, SMTPRecipientsRefused, SMTPServerDisconnected
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection
from redis.exceptions import ConnectionError as RedisAway

from apps.runs.gateway.errors import BadRequest, KeyRefused, ProviderUnavailable, RateLimited
from apps.runs.gateway.types import Target
from apps.runs.refusals import SwitchedOff
from apps.tenants import dead_letters
from apps.tenants.context import tenant_context
from apps.tenants.models import DeadLetter, Effect
from apps.tenants.once import Turn, once
from config.celery import HEADER
from config.retries import LONGEST_S, wait_s
from tests.conftest import Cast

TARGET = Target("openai", "gpt")
AGAIN = [
    OperationalError("away"),
    RedisAway(),
    TimeoutError(),
    SMTPServerDisconnected("gone"),
    SMTPDataError(451, b"later"),
    SMTPRecipientsRefused({"a@example.com": (450, b"later")}),
    ProviderUnavailable(TARGET),
]
NEVER = [
    ValueError("no number"),
    IntegrityError("twice"),
    SMTPDataError(554, b"no"),
    SMTPRecipientsRefused({"a@example.com": (550, b"unknown")}),
    KeyRefused(TARGET),
    BadRequest(TARGET),
    SwitchedOff(),
]


@pytest.mark.parametrize("error", AGAIN, ids=repr)
def test_what_passes_is_tried_again_later_and_later(error: Exception) -> None:
    longest = [max(wait_s(error, retries) for _ in range(200)) for retries in range(12)]

    assert all(0 <= most <= min(2 * 2**retries, LONGEST_S) for retries, most in enumerate(longest))
    assert longest[8] > longest[0]


@pytest.mark.parametrize("error", NEVER, ids=repr)
def test_what_would_fail_again_is_given_up(error: Exception) -> None:
    assert wait_s(error, 0) is None


def test_who_says_when_to_come_again_is_obeyed() -> None:
    assert 40 <= wait_s(RateLimited(TARGET, retry_after_s=40), 0) <= 42
    assert wait_s(RateLimited(TARGET, retry_after_s=10**6), 0) is None


def test_a_task_may_name_what_passes_for_it() -> None:
    assert wait_s(KeyError(), 0, also=(KeyError,)) is not None


# --- Dead letters


def task(tenant: Any, **request: Any) -> Any:
    given = {"headers": None, "chord": None, "retries": 3, "delivery_info": {"routing_key": "ingest"}, **request}
    fields = {**given, HEADER: str(tenant.pk) if tenant else None}
    return SimpleNamespace(name="apps.knowledge.tasks.ingest_document", request=Request(fields))


class Request(dict):
    __getattr__ = dict.__getitem__


@pytest.mark.django_db(transaction=True, databases=["default", "platform"])
def test_a_letter_says_what_and_why_without_secrets(committed_cast: Cast) -> None:
    error = OperationalError(
        "postgres://app:hunter2@db failed for sk-abcdef123456\nDETAIL: Key (email)=(bob@acme.example)"
    )
    key = str(committed_cast.acme.pk)

    dead_letters.keep(task(committed_cast.acme), "one", error, [key, 3], {})
    dead_letters.keep(task(committed_cast.acme), "one", error, [key, 3], {})
    dead_letters.keep(task(committed_cast.acme), "two", error, ["what somebody wrote"], {})
    dead_letters.keep(task(None), "three", error, [], {})

    with tenant_context(committed_cast.acme):
        one, two = DeadLetter.objects.order_by("task_id")
    assert (one.args, two.args) == ([key, 3], None)
    assert one.error_message == "postgres://[secret]@db failed for [secret]"
    assert (one.error_class, one.tries, one.queue) == ("OperationalError", 4, "ingest")
    assert DeadLetter.unscoped.using("platform").get(task_id="three").tenant is None
    with tenant_context(committed_cast.globex):
        assert list(DeadLetter.objects.all()) == list(DeadLetter.unscoped.all()) == []


# --- Once


def test_what_was_done_is_not_done_again(cast: Cast) -> None:
    turns = []
    with tenant_context(cast.acme):
        for _ in range(2):
            with once("mail") as turn:
                turns.append(turn)
    with tenant_context(cast.globex), once("mail") as turn:
        turns.append(turn)

    assert turns == [Turn.MINE, Turn.DONE, Turn.MINE]


def test_what_failed_may_be_tried_again(cast: Cast) -> None:
    with tenant_context(cast.acme):
        with pytest.raises(TimeoutError), once("mail"):
            raise TimeoutError
        with once("mail") as turn:
            assert turn is Turn.MINE


def test_what_somebody_is_doing_is_left_to_them_unless_they_died(committed_cast: Cast) -> None:
    is_doing, may_end = threading.Event(), threading.Event()

    def do() -> None:
        with tenant_context(committed_cast.acme), once("mail"):
            is_doing.set()
            assert may_end.wait(20)
        connection.close()

    other = threading.Thread(target=do)
    other.start()
    assert is_doing.wait(20)
    with tenant_context(committed_cast.acme):
        with once("mail") as turn:
            assert turn is Turn.OTHERS
        effect = Effect.objects.get()
        Effect.objects.update(begun_at=effect.begun_at - timedelta(minutes=16))
        with once("mail") as turn:
            assert turn is Turn.MINE
    may_end.set()
    other.join()
