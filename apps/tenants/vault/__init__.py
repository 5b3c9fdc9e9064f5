"""Secrets of workspaces, sealed: each with its tenant's data key, and that with a master key.

    masters    what wraps data keys: a key file, AWS KMS or Google Cloud KMS
    sealing    data keys, and what is sealed with them
    rotation   another master key, or other data keys

Everything is AES-256-GCM, and bound to where it belongs: what was copied to another row or another tenant opens
nothing. Python can't wipe memory: an opened key may stay in this process's until that is used again.
"""

from .masters import VaultError
from .sealing import open_sealed, seal
from .secret import Secret

__all__ = ["Secret", "VaultError", "open_sealed", "seal"]
