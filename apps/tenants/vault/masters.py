"""Master keys: what data keys are wrapped with. `MASTER_KEY` names the one in use, in the manner of a URL.

    file:///var/lib/corbel/keys/master.key                    a file of ours, made at first use
    aws-kms://arn:aws:kms:eu-west-1:1234:key/...              AWS KMS; needs boto3
    gcp-kms://projects/p/locations/l/keyRings/r/cryptoKeys/k  Google Cloud KMS; needs google-auth

`MASTER_KEY_FALLBACKS` names those before it, which still open what they wrapped. The errors:

    VaultError
    ├── Misconfigured    a setting can't be right, a library is missing, a key file isn't private
    ├── MasterMissing    something was wrapped with a master key that no setting names
    ├── Unreachable      the key service doesn't answer, or refuses
    └── Damaged          it opens with no key of ours: another row's, another tenant's, or changed
"""

from collections.abc import Callable
from functools import cache
from typing import Protocol

from django.conf import settings


class VaultError(Exception):
    """A sentence for an operator. It never holds anything of a key."""


class Misconfigured(VaultError):
    pass


class MasterMissing(VaultError):
    pass


class Unreachable(VaultError):
    pass


class Damaged(VaultError):
    pass


class Master(Protocol):
    """Wraps data keys. `aad` must be the same for both, and isn't secret: key services write it into their logs."""

    @property
    def name(self) -> str:
        """What is written beside what it wrapped, at most 200 characters. Another key has another name."""
        ...

    def wrap(self, plaintext: bytes, aad: bytes) -> bytes: ...

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        """Raises Damaged or Unreachable."""
        ...


def local(place: str) -> Master:
    from .local import LocalMaster

    return LocalMaster(place)


def aws(place: str) -> Master:
    from .aws import AwsKms

    return AwsKms(place)


def gcp(place: str) -> Master:
    from .gcp import GcpKms

    return GcpKms(place)


KINDS: dict[str, Callable[[str], Master]] = {"file": local, "aws-kms": aws, "gcp-kms": gcp}


@cache
def master(url: str) -> Master:
    """The master key of that URL; nothing is opened or asked before it is used. Raises Misconfigured."""
    scheme, separator, place = url.partition("://")
    if not separator or scheme not in KINDS or not place:
        raise Misconfigured(
            f"MASTER_KEY or MASTER_KEY_FALLBACKS holds {url[:200]!r}, which names no master key. Write file:///path, "
            "aws-kms://arn:aws:kms:... or gcp-kms://projects/..."
        )
    return KINDS[scheme](place)


def current() -> Master:
    return master(settings.MASTER_KEY)


def named(name: str) -> Master:
    """The configured master key of that name. Raises MasterMissing."""
    for each in (current(), *map(master, settings.MASTER_KEY_FALLBACKS)):
        if each.name == name:
            return each
    raise MasterMissing(
        f"A data key is wrapped with the master key {name}, which neither MASTER_KEY nor MASTER_KEY_FALLBACKS names. "
        "Add it to MASTER_KEY_FALLBACKS, or restore its file from a backup."
    )
