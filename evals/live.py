"""The database that is in use, for the commands that measure it: what `manage.py` connects to."""

import os

from .bad import ROOT, Bad


def connect() -> None:
    """Set Django up with the environment, or beside a running `make run`. Raises Bad."""
    import django
    from django.core.exceptions import ImproperlyConfigured

    from config import env

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        if "DATABASE_URL" not in os.environ:
            env.load(env.path("STATE_DIR", ROOT / ".corbel") / "env")
        django.setup()
    except (env.BadSetting, ImproperlyConfigured) as error:
        raise Bad("The environment", str(error).rstrip("."), "Set it as for manage.py, or start `make run`") from error
