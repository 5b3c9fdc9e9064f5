"""The settings under which the sweep runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.db import connection, connections
from django.test import override_settings

from config.celery import app as celery
from tests.conftest import wipe

from .world import World, create

PROVIDER = {"APP": {"client_id": "sweep", "secret": "sweep"}}  # so that social login has pages
IMPATIENT = {"options": "-c lock_timeout=5s"}  # what commits elsewhere can't be undone: better fail than wait for it


@contextmanager
def staged(media_root: Path) -> Iterator[World]:
    """The world, committed, under settings that leave no page shut. Nothing of it stays."""
    providers = {name: {**given, **PROVIDER} for name, given in settings.SOCIALACCOUNT_PROVIDERS.items()}
    given = {"MEDIA_ROOT": media_root, "ACCOUNT_RATE_LIMITS": False, "SOCIALACCOUNT_PROVIDERS": providers}
    with override_settings(**given), default_connecting(IMPATIENT):
        wipe()
        world = create()
        try:
            yield world
        finally:
            wipe()
            celery.control.purge()
            with redis.Redis.from_url(settings.REDIS_URL) as client:
                for side in (world.acme, world.globex):
                    if names := list(client.scan_iter(f"*{side.tenant.pk}*")):
                        client.delete(*names)


@contextmanager
def default_connecting(options: dict[str, Any], **parameters: Any) -> Iterator[None]:
    """The default alias with other parameters, in every thread that opens it anew."""
    settings = connections["default"].settings_dict
    before = {**settings}
    connection.close()
    connection.close_pool()
    settings.update(parameters, OPTIONS={**settings["OPTIONS"], **options})
    try:
        yield
    finally:
        connection.close()
        connection.close_pool()
        settings.update(before)
