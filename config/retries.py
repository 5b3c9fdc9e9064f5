"""What becomes of a task that failed: it is tried again a little later, or given up.

    error                                                     then
    database, Redis or queue away; connection broken,
    refused or too slow; a mail server's 4xx                  again, after 2 s, 4 s, 8 s … 10 min, with full jitter
    an error that says `retryable`, as the gateway's do        the same
    an error that says `retry_after_s`                         again, never before that
    what the task names in `retries_on`                        again
    anything else                                             given up: it would fail again

After `max_retries` of the task it is given up, too. What is given up is a row of DeadLetter.
"""

import random
from smtplib import SMTPConnectError, SMTPRecipientsRefused, SMTPResponseException, SMTPServerDisconnected

from celery.utils.time import get_exponential_backoff_interval
from django.db import InterfaceError, OperationalError
from kombu.exceptions import OperationalError as QueueAway
from redis.exceptions import BusyLoadingError
from redis.exceptions import ConnectionError as RedisAway
from redis.exceptions import TimeoutError as RedisSlow

FIRST_S, LONGEST_S = 2, 600
MOST_RETRIES = 10  # a quarter of an hour and some, on average
MOST_HANDED_OUT = 5  # without an end: it kills whoever runs it
LONGEST_WAIT_S = 24 * 3600  # that somebody may ask for

TEMPORARY = (
    *(OperationalError, InterfaceError, QueueAway, RedisAway, RedisSlow, BusyLoadingError),
    *(ConnectionError, TimeoutError, SMTPServerDisconnected, SMTPConnectError),
)


class KillsItsWorkers(RuntimeError):
    """Handed out again and again, and nobody ever lived to say that it was done."""


def wait_s(error: BaseException, retries: int, *, also: tuple[type[BaseException], ...] = ()) -> float | None:
    """The seconds until it is worth trying again after so many retries; None if it never is.

    also: errors that pass, for this task.
    """
    asked = getattr(error, "retry_after_s", None)
    if asked is not None:
        return asked + random.uniform(0, FIRST_S) if asked <= LONGEST_WAIT_S else None  # noqa: S311
    if not (isinstance(error, also) or is_temporary(error)):
        return None
    return get_exponential_backoff_interval(FIRST_S, retries, LONGEST_S, full_jitter=True)


def is_temporary(error: BaseException) -> bool:
    says: bool | None = getattr(error, "retryable", None)
    if says is not None:
        return says
    if isinstance(error, SMTPRecipientsRefused):
        return all(400 <= code < 500 for code, _ in error.recipients.values())
    if isinstance(error, SMTPResponseException):
        return 400 <= error.smtp_code < 500
    return isinstance(error, TEMPORARY)
