"""Links that open something by themselves, and what people searched for, are written into no log, neither ours nor
the server's."""

import logging
import re

SECRET = re.compile(r"((?:invitations|reset/key|confirm-email)(?:/|%2F)|[?&]q=)[^\s&\"'/]+", re.IGNORECASE)


class HideSecrets(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = hide(record.msg)
        if isinstance(record.args, tuple):
            record.args = tuple(hide(argument) for argument in record.args)
        return True


def hide(value: object) -> object:
    return SECRET.sub(r"\1…", value) if isinstance(value, str) else value
