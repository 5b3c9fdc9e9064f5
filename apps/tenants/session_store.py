"""Sessions in the database. However one ends, the sockets that were opened with it are shut."""

from functools import partial

from django.contrib.sessions.backends.db import SessionStore as DatabaseSessionStore
from django.db import transaction

from .doors import COME_BACK, SHUT_OUT, close_doors
from .threads import in_thread


class SessionStore(DatabaseSessionStore):
    """Signing out, ending a session from another one, a new key at sign-in: each deletes the old key here."""

    def delete(self, session_key: str | None = None) -> None:
        ended = session_key or self.session_key
        super().delete(session_key)
        if ended:
            goes_on = self.session_key not in (None, ended)  # under a new key, which its browser is about to get
            code = COME_BACK if goes_on else SHUT_OUT
            transaction.on_commit(partial(close_doors, session_key=ended, code=code))

    async def adelete(self, session_key: str | None = None) -> None:
        await in_thread(self.delete, session_key)
