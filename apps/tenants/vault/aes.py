"""AES-256-GCM, and how what it makes is written: a version, the nonce, the ciphertext with its tag."""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
VERSION = b"\x01"


class DoesNotOpen(ValueError):
    """Another key, other associated data, or changed bytes: which of them can't be told."""


def new_key() -> bytes:
    return os.urandom(KEY_BYTES)


def encrypt(key: bytes, plaintext: bytes, aad: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return VERSION + nonce + AESGCM(key).encrypt(nonce, plaintext, VERSION + aad)


def decrypt(key: bytes, sealed: bytes, aad: bytes) -> bytes:
    """Raises DoesNotOpen."""
    nonce, body = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
    if sealed[:1] != VERSION or len(body) < 16:
        raise DoesNotOpen
    try:
        return AESGCM(key).decrypt(nonce, body, VERSION + aad)
    except InvalidTag:
        raise DoesNotOpen from None
