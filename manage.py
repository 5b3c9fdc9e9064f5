#!/usr/bin/env python
"""Django's command line. Beside a running `make run` it finds the embedded services by itself."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

    from django.core.management import execute_from_command_line

    from config import env

    if "DATABASE_URL" not in os.environ:
        env.load(env.path("STATE_DIR", ROOT / ".corbel") / "env")
    execute_from_command_line(sys.argv)
