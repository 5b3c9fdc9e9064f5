"""A master key in a file: 32 random bytes as hex, readable by its owner alone, made at first use."""

import contextlib
import hashlib
import os
import secrets
import stat
from pathlib import Path

from django.conf import settings
from django.db import connection

from . import aes
from .masters import Damaged, Misconfigured

PREFIX = "file:"
IN_USE = "SELECT name FROM tenants_masterkey WHERE name LIKE 'file:%'"  # a trigger writes it: see the migration


class LocalMaster:
    """The key is read once and kept. Raises Misconfigured for a file that others may read, or that holds no key."""

    def __init__(self, place: str) -> None:
        self.path = Path(place)
        if not self.path.is_absolute():
            raise Misconfigured(f"MASTER_KEY names the file {place!r}. Write its whole path, as file:///path.")
        self._key = b""

    @property
    def name(self) -> str:
        """From the key, not the path: a file may move, and another key in its place is another master key."""
        return PREFIX + hashlib.sha256(b"corbel master key\0" + self.key()).hexdigest()[:32]

    def wrap(self, plaintext: bytes, aad: bytes) -> bytes:
        return aes.encrypt(self.key(), plaintext, aad)

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        try:
            return aes.decrypt(self.key(), wrapped, aad)
        except aes.DoesNotOpen:
            raise Damaged("A data key doesn't open: it was changed, or belongs to another workspace.") from None

    def key(self) -> bytes:
        if not self._key:
            if not self.path.exists():
                self.make()
            self._key = self.read()
        return self._key

    def read(self) -> bytes:
        try:
            found = self.path.stat()
            text = self.path.read_text(encoding="ascii").strip()
            key = bytes.fromhex(text)
        except OSError as error:
            raise Misconfigured(f"The master key {self.path} can't be read: {error.strerror}.") from None
        except ValueError:
            key = b""
        if len(key) != aes.KEY_BYTES:
            raise Misconfigured(f"{self.path} holds no master key: that is {aes.KEY_BYTES} bytes, written as hex.")
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise Misconfigured(f"Others than its owner may open the master key. Run: chmod 600 {self.path}")
        return key

    def make(self) -> None:
        """A new key, in place at once and whole, whoever else is making one. Never where one is merely missing."""
        self.check(is_current=place(settings.MASTER_KEY) == self.path, asks=True)
        draft = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:  # noqa: PTH123
                file.write(aes.new_key().hex() + "\n")
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):  # another process was first: its key counts
                os.link(draft, self.path)
        except OSError as error:
            raise Misconfigured(f"The master key {self.path} can't be made: {error.strerror}.") from None
        finally:
            draft.unlink(missing_ok=True)

    def check(self, *, is_current: bool, asks: bool) -> None:
        """Raises Misconfigured if it can't be used as it is. A current one may be missing until its first use, but for
        one that is lost, which the database is asked about if it may be."""
        if self.path.exists():
            self.read()
        elif not is_current:
            raise Misconfigured(f"The master key {self.path}, which MASTER_KEY_FALLBACKS names, isn't there.")
        elif asks:
            self.refuse_if_lost()

    def refuse_if_lost(self) -> None:
        if lost := self.lost():
            raise Misconfigured(
                f"The master key {self.path} is missing, and workspaces' keys are wrapped with {', '.join(lost)}. "
                "Restore it from a backup; a new one would open none of them."
            )

    def lost(self) -> list[str]:
        """Key files that wrapped something and that no setting names. Another file may be made while there are none."""
        with connection.cursor() as cursor:
            cursor.execute(IN_USE)
            in_use = {name for (name,) in cursor.fetchall()}
        others = (place(url) for url in (settings.MASTER_KEY, *settings.MASTER_KEY_FALLBACKS))
        known = {
            LocalMaster(str(other)).name for other in others if other and other != self.path and Path(other).exists()
        }
        return sorted(in_use - known)


def place(url: str) -> Path | None:
    scheme, _, path = url.partition("://")
    return Path(path) if scheme == "file" else None
