"""A sender in a process of its own, to be killed between sending an event and marking it as sent."""

import multiprocessing
import sys
from multiprocessing.connection import Connection
from typing import Any
from uuid import UUID

import django

if "pytest" not in sys.modules:
    django.setup()  # in the process that the sender is forked from

from django.conf import settings

from apps.billing import send
from apps.tenants.context import tenant_id_context

WITHIN_S = 60

_context = multiprocessing.get_context("forkserver")


def work(pipe: Connection, tenant_id: UUID, url: str, key: str) -> None:
    settings.BILLING, settings.STRIPE_API_URL, settings.STRIPE_SECRET_KEY = "stripe", url, key

    def dies_here(*_: Any) -> bool:
        pipe.send("sent")
        return bool(pipe.recv())  # nobody answers

    send.mark_sent = dies_here
    with tenant_id_context(tenant_id):
        send.send()


def send_and_be_killed(tenant_id: UUID, url: str, key: str) -> None:
    """Send what the workspace's outbox holds, up to the first event that Stripe has and nobody has marked."""
    pipe, end = _context.Pipe()
    process = _context.Process(target=work, args=(end, tenant_id, url, key), daemon=True)
    process.start()
    end.close()
    try:
        assert pipe.poll(WITHIN_S), "It never sent anything."
        assert pipe.recv() == "sent"
    finally:
        process.kill()
        process.join()
