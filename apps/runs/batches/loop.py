"""Coroutines run from a worker's thread, which keeps its event loop, and with it the connections to providers."""

import asyncio
import contextvars
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_local = threading.local()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """What it returns. It runs in the caller's tenant."""
    if not hasattr(_local, "runner"):
        _local.runner = asyncio.Runner()
    runner: asyncio.Runner = _local.runner
    return runner.run(coroutine, context=contextvars.copy_context())
