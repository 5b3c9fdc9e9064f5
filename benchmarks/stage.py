"""Throw-away workspaces on services of their own, so that a benchmark touches nobody's data."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator

from config import embedded
from config.bootstrap import STATE_DIR


@contextlib.contextmanager
def stage(*, durable: bool = False) -> Iterator[embedded.Services]:
    """Services in a folder of their own, with the tables made. Once per process; all is deleted at the end.

    durable: commits wait for the disk.
    """
    folder = STATE_DIR / f"test-benchmark-{os.getpid()}"
    embedded.remove(folder)
    services = embedded.start(folder, durable=durable, database="corbel_benchmark")
    media = tempfile.mkdtemp(prefix="corbel-benchmark-")
    try:
        os.environ |= services.env | {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "SECRET_KEY": "only for benchmarks",
            "MEDIA_ROOT": media,
            "LOG_LEVEL": "WARNING",
        }
        migrate()
        yield services
        close_connections()
    finally:
        services.stop()
        embedded.remove(folder)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(media, ignore_errors=True)


def migrate() -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


@contextlib.contextmanager
def workspace(name: str) -> Iterator[None]:
    """Act for a new workspace."""
    from apps.tenants.context import tenant_context
    from apps.tenants.models import User
    from apps.tenants.signup import create_workspace

    owner = User.objects.create_user(f"{name}@example.com", None)
    with tenant_context(create_workspace(name, owner=owner)):
        yield


def close_connections() -> None:
    from django.db import connections

    for alias in connections:
        connections[alias].close()
        connections[alias].close_pool()
