"""A key of this installation as the store may hold it: wrapped, so that whoever has the store has no key.

Everything but `wrapped` is in the clear and authenticated with it. What opens it is the key-encryption key that `kek`
names, and that one is never in the store. When a key is used is keys/ring.py's question.
"""

import msgspec

from detent.core.ids import Instant


class WrappedKey(msgspec.Struct, frozen=True):
    """`purpose` and `id` name it; `use_from` None waits for a rotation."""

    purpose: str
    id: str
    created_at: Instant
    use_from: Instant | None
    kek: str
    wrapped: bytes


class WrappedKeys(msgspec.Struct, frozen=True):
    """All of them; `version` rises with each change of any."""

    version: int
    keys: tuple[WrappedKey, ...]
