"""Handles: the opaque strings that travel, and the tags that make them worthless to forge.

Refresh handle (84 characters after its prefix): version, handle key id, placement, family id, epoch, generation,
inner tag, outer tag.
- The outer tag is a 160-bit MAC by a server key that is not in the database, over all before it and the client id:
  garbage and another client's token die on it without a database access (RFC 6749 §10.10: ≤ 2^-160).
- The inner tag is a 128-bit PRF of a seed that is only in the family's row: a leaked key alone forges nothing.
A handle is a pure function of seed, generation, epoch and handle key, so a repeat gives the same bytes and nothing
that was handed out is stored.
Sealed handles (authorization codes, opaque access tokens) are encrypted and authenticated (AES-SIV, RFC 5297).
"""

import hmac
import struct
from hashlib import blake2b

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from detent.core.base64url import base64url, from_base64url
from detent.core.errors import StoreUnavailable
from detent.core.family import Family
from detent.core.ids import FamilyKey
from detent.ports import Entropy, Keys

REFRESH_PREFIX = "dtrt_"
CODE_PREFIX = "dtac_"
ACCESS_PREFIX = "dtat_"

MAX_SEALED_CHARACTERS = 16384
MAX_GENERATION = 2**32 - 1
_VERSION = 1
_BODY = struct.Struct(">BHH16sHI")
_INNER_BYTES, _OUTER_BYTES = 16, 20
_REFRESH_BYTES = _BODY.size + _INNER_BYTES + _OUTER_BYTES
_SEALED_HEAD = struct.Struct(">BH16s")


class RefreshHandle(msgspec.Struct, frozen=True):
    """A refresh token whose outer tag is good: we made it for this client. Whether it is still good is in the row."""

    key: FamilyKey
    epoch: int
    generation: int
    body: bytes
    inner: bytes

    def __repr__(self) -> str:
        return f"RefreshHandle({self.key.text}, generation={self.generation}, inner=***)"


class Handles:
    """Makes and opens handles with the handle keys of the moment; CPU only."""

    def __init__(self, keys: Keys, entropy: Entropy) -> None:
        self._keys = keys
        self._entropy = entropy
        self._sealers: dict[tuple[str, bytes], AESSIV] = {}

    @property
    def current_key(self) -> int:
        """The key that a rotation names in the family's row."""
        return self._keys.handle_keys().current

    def refresh_token(self, family: Family) -> str:
        """The refresh token of the family's present generation: the same bytes however often it is asked for."""
        key = self._key(family.handle_key)
        if key is None:
            raise StoreUnavailable(f"Handle key {family.handle_key}, which family {family.key.text} names, is gone.")
        body = _BODY.pack(
            _VERSION, family.handle_key, family.key.placement, family.key.id, family.epoch, family.generation
        )
        body += _inner_tag(family.seed, body)
        body += _outer_tag(key, body, family.authorization.client_id)
        return REFRESH_PREFIX + base64url(body)

    def open_refresh(self, token: str, client_id: str) -> RefreshHandle | None:
        """The handle, if its outer tag is good for this client; else None. No I/O, constant time in the tag."""
        raw = _decoded(token, REFRESH_PREFIX)
        if raw is None or len(raw) != _REFRESH_BYTES:
            return None
        version, key_id, placement, family_id, epoch, generation = _BODY.unpack_from(raw)
        key = self._key(key_id) if version == _VERSION else None
        if key is None:
            return None
        if not hmac.compare_digest(_outer_tag(key, raw[:-_OUTER_BYTES], client_id), raw[-_OUTER_BYTES:]):
            return None
        body, inner = raw[: _BODY.size], raw[_BODY.size : -_OUTER_BYTES]
        return RefreshHandle(FamilyKey(placement, family_id), epoch, generation, body, inner)

    def seal(self, prefix: str, content: bytes) -> str:
        """Encrypt and authenticate; `prefix` separates kinds, so that none is accepted in another's place."""
        keys = self._keys.handle_keys()
        head = _SEALED_HEAD.pack(_VERSION, keys.current, self._entropy.token_bytes(16))
        sealed = self._sealer(prefix, keys.keys[keys.current]).encrypt(content, [head])
        return prefix + base64url(head + sealed)

    def unseal(self, prefix: str, token: str) -> bytes | None:
        """The content, if we sealed it as this kind; else None. No I/O."""
        raw = _decoded(token, prefix) if len(token) <= MAX_SEALED_CHARACTERS else None
        if raw is None or len(raw) < _SEALED_HEAD.size + 16:
            return None
        version, key_id, _ = _SEALED_HEAD.unpack_from(raw)
        key = self._key(key_id) if version == _VERSION else None
        if key is None:
            return None
        try:
            return self._sealer(prefix, key).decrypt(raw[_SEALED_HEAD.size :], [raw[: _SEALED_HEAD.size]])
        except InvalidTag:
            return None

    def _key(self, number: int) -> bytes | None:
        """Raises KeyUnknown, as ports.Keys says."""
        key = self._keys.handle_keys().keys.get(number)
        if key is None:
            self._keys.missed()
        return key

    def _sealer(self, prefix: str, key: bytes) -> AESSIV:
        sealer = self._sealers.get((prefix, key))
        if sealer is None:
            derived = blake2b(prefix.encode(), key=key, person=b"detent sealed", digest_size=64).digest()
            sealer = self._sealers[prefix, key] = AESSIV(derived)
        return sealer


def family_of(token: str) -> FamilyKey | None:
    """Which family a refresh token says it is of. Proves nothing: that takes the client, and `open_refresh`."""
    raw = _decoded(token, REFRESH_PREFIX)
    if raw is None or len(raw) != _REFRESH_BYTES:
        return None
    _, _, placement, family_id, _, _ = _BODY.unpack_from(raw)
    return FamilyKey(placement, family_id)


def is_of(handle: RefreshHandle, family: Family) -> bool:
    """Whether the handle was made from this family's seed; constant time."""
    return hmac.compare_digest(_inner_tag(family.seed, handle.body), handle.inner)


def _inner_tag(seed: bytes, body: bytes) -> bytes:
    return blake2b(body, key=seed, person=b"detent inner", digest_size=_INNER_BYTES).digest()


def _outer_tag(key: bytes, body: bytes, client_id: str) -> bytes:
    return blake2b(body + client_id.encode(), key=key, person=b"detent outer", digest_size=_OUTER_BYTES).digest()


def _decoded(token: str, prefix: str) -> bytes | None:
    return from_base64url(token[len(prefix) :]) if token.startswith(prefix) else None
