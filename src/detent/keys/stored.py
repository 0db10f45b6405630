"""A key with its material, and one key as one file: its name, its content, and whether both are whole.

JSON with the key's timestamps, its material in base64 and a digest of that. A file that is not what was written is
refused by name; nothing of its content is repeated in an error.
"""

import hashlib
from typing import Final

import msgspec

from detent.core.wrapped_key import WrappedKey
from detent.keys.directory import SUFFIX, PrivateDirectory, Stamp
from detent.keys.material import SECRET_BYTES, DecryptionKey, SigningKey, pair_of
from detent.keys.ring import KeysError, RingKey

NUMBERS: Final = range(1, 65536)


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A flipped bit in 32 random bytes would show nowhere but in the digest."""

    key: RingKey
    material: bytes
    sha256: str

    def __repr__(self) -> str:
        return f"_File({self.key}, material=***)"


class StoredKey(msgspec.Struct, frozen=True):
    """A key as it was read, `stamp` then being another one after any change; `pair` is None for a secret."""

    stamp: Stamp | WrappedKey
    key: RingKey
    material: bytes
    pair: SigningKey | DecryptionKey | None

    @property
    def name(self) -> str:
        return name_of(self.key)

    def __repr__(self) -> str:
        return f"StoredKey({self.key}, material=***)"


def name_of(key: RingKey) -> str:
    return f"{key.purpose}.{key.id}{SUFFIX}"


def write_key(directory: PrivateDirectory, key: RingKey, material: bytes) -> None:
    file = _File(key, material, hashlib.sha256(material).hexdigest())
    directory.write(name_of(key), msgspec.json.format(msgspec.json.encode(file)))


def read_key(directory: PrivateDirectory, name: str, stamp: Stamp) -> StoredKey:
    """Raises KeysError for a file that is not a whole key or open to others, FileNotFoundError for one that is gone."""
    content = directory.read(name)
    try:
        file = msgspec.json.decode(content, type=_File)
        if name != name_of(file.key) or file.sha256 != hashlib.sha256(file.material).hexdigest():
            raise ValueError("the file has another key's name or material")
        return checked(stamp, file.key, file.material)
    except ValueError:
        raise KeysError(
            f"{directory.path / name} is not a whole key. Put it back from a backup, or move it away: a new key is "
            "made in its place, and what only this one verifies is lost."
        ) from None


def checked(stamp: Stamp | WrappedKey, key: RingKey, material: bytes) -> StoredKey:
    """Raises ValueError unless id, purpose and material belong together."""
    if pair := pair_of(key.purpose, material):
        if pair.kid != key.id:
            raise ValueError("the id is not the key's thumbprint")
        return StoredKey(stamp, key, material, pair)
    if len(material) != SECRET_BYTES or int(key.id) not in NUMBERS:
        raise ValueError("not a secret, or not a number")
    return StoredKey(stamp, key, material, None)
