"""The key-encryption key: what wraps the keys that lie in the store, and never lies there itself.

A file with one key per line, 32 bytes in base64url (RFC 4648 §5): the first line wraps, every line unwraps, so that a
new one can be put above the old one. Source: AES-256-GCM (NIST SP 800-38D) of `cryptography`, with all that is said of
a key as associated data. The file is read whenever it is needed: a new line is in force without a restart.
"""

import base64
import binascii
import os
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from joserfc.jwk import OctKey

from detent.core.base64url import base64url
from detent.core.wrapped_key import WrappedKey
from detent.keys.ring import KeysError, RingKey

KEK_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_NAME_CHARACTERS: Final = 16


def new_kek() -> str:
    """A line for the file."""
    return base64url(secrets.token_bytes(KEK_BYTES))


class Keks:
    """The keys in the file, by what a wrapped key calls them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def first(self) -> str:
        """The name of the one that wraps. Raises KeysError."""
        return next(iter(self._read()))

    def wrap(self, key: RingKey, material: bytes) -> WrappedKey:
        """Raises KeysError if the file cannot be used."""
        name, aead = next(iter(self._read().items()))
        nonce = secrets.token_bytes(_NONCE_BYTES)
        wrapped = nonce + aead.encrypt(nonce, material, _said(key, name))
        return WrappedKey(key.purpose, key.id, key.created_at, key.use_from, name, wrapped)

    def unwrap(self, wrapped: Sequence[WrappedKey]) -> list[tuple[RingKey, bytes]]:
        """Raises KeysError, which names what the store is wrapped under and what the file holds."""
        keks = self._read() if wrapped else {}
        if unknown := sorted({each.kek for each in wrapped} - keks.keys()):
            raise KeysError(
                f"The keys in the store are wrapped under the key-encryption key {', '.join(unknown)}, and {self.path} "
                f"holds {', '.join(keks)}. Put the line of {unknown[0]} into the file, as the other nodes have it."
            )
        return [_unwrapped(each, keks[each.kek]) for each in wrapped]

    def _read(self) -> dict[str, AESGCM]:
        try:
            with self.path.open("rb") as file:
                _refuse_unless_private(self.path, os.fstat(file.fileno()))
                lines = file.read(1 << 16).decode("ascii").split()
            raw = [base64.b64decode(line + "=", altchars=b"-_", validate=True) for line in lines]
        except OSError as error:
            raise KeysError(
                f"{self.path}, the file of the key-encryption key, cannot be read ({error.strerror}). "
                "`detent key new-kek` prints what belongs into it."
            ) from error
        except (binascii.Error, ValueError):
            raw = []
        if not raw or {len(each) for each in raw} != {KEK_BYTES}:
            raise KeysError(
                f"{self.path} is no file of key-encryption keys: one per line, {KEK_BYTES} bytes in base64url. "
                "`detent key new-kek` prints one."
            )
        return {_name_of(each): AESGCM(each) for each in raw}


def _unwrapped(wrapped: WrappedKey, aead: AESGCM) -> tuple[RingKey, bytes]:
    try:
        key = msgspec.convert(
            {name: getattr(wrapped, name) for name in ("id", "purpose", "created_at", "use_from")}, RingKey
        )
        nonce, ciphertext = wrapped.wrapped[:_NONCE_BYTES], wrapped.wrapped[_NONCE_BYTES:]
        return key, aead.decrypt(nonce, ciphertext, _said(key, wrapped.kek))
    except (InvalidTag, ValueError, msgspec.ValidationError):
        raise KeysError(
            f"Key {wrapped.id} ({wrapped.purpose}) in the store is not what was put there. Bring the store back from "
            "a backup."
        ) from None


def _said(key: RingKey, kek: str) -> bytes:
    """Purpose, id, both times and the name of the key-encryption key: none of it can be exchanged in the store."""
    return msgspec.msgpack.encode(("detent wrapped key 1", key.purpose, key.id, key.created_at, key.use_from, kek))


def _name_of(kek: bytes) -> str:
    """As a `kid` is made (RFC 7638); of 256 random bits it gives nothing away."""
    return OctKey.import_key(kek).thumbprint()[:_NAME_CHARACTERS]


def _refuse_unless_private(path: Path, status: os.stat_result) -> None:
    """The owner's alone, or root's and readable by a group: so a mounted secret looks."""
    mounted = status.st_uid == 0 and not status.st_mode & 0o037
    if not mounted and (status.st_uid != os.geteuid() or status.st_mode & 0o077):
        raise KeysError(
            f"{path} opens every key and is open to others (owner {status.st_uid}, mode "
            f"{stat.S_IMODE(status.st_mode):04o}). It must be this user's with mode 0600, or root's with 0640 at most."
        )
