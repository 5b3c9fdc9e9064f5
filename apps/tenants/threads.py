"""Database work from coroutines, in a bounded number of threads.

Channels' default runs every consumer's database work in one thread of the whole process, and unbounded threads
exhaust the connection pool. These few threads are enough: measured, they keep up with an async driver.
"""

import asyncio
import contextvars
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, connections
from django.urls import get_script_prefix, set_script_prefix

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 8
AGAIN_AFTER_S = (0.1, 1, 5)
_executor = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="database")


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking `function` in the caller's tenant, under its script prefix, and return its result.

    A call that has begun is not interrupted when the waiting coroutine is cancelled.
    """
    context = contextvars.copy_context()
    call = partial(_run_and_release, get_script_prefix(), partial(function, *args, **kwargs))
    return await asyncio.get_running_loop().run_in_executor(_executor, partial(context.run, call))


def surely(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `function` again when the database was away, a few times: for what must not be lost. Blocks meanwhile."""
    for wait_s in AGAIN_AFTER_S:
        try:
            return function(*args, **kwargs)
        except (OperationalError, InterfaceError):
            connections["default"].close()
            time.sleep(wait_s)
    return function(*args, **kwargs)


def _run_and_release(prefix: str, call: Callable[[], T]) -> T:
    set_script_prefix(prefix)  # Django keeps it by thread
    try:
        return call()
    finally:
        for connection in connections.all(initialized_only=True):
            connection.close()  # back to the pool
