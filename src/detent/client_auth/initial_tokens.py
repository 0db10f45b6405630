"""Initial access tokens (RFC 7591 §3): who may register a client, how often and until when.

Made by the operator, shown once, hashed at rest; a use counts in the commit of the client that it registered. Kept as
records, so a restored backup forgets them: they may have been used.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

import msgspec

from detent.core.base64url import base64url
from detent.core.changes import Changes, ConsumeRecord, InsertRecord, Part, Record, ReplaceRecord
from detent.core.errors import Conflict, InvalidToken
from detent.core.ids import Instant, Seconds
from detent.ports import Clock, Directory, Entropy, Store

TOKEN_PREFIX: Final = "dtit_"
TOKEN_KIND: Final = "registration_token"
_NEVER: Final = Instant(1 << 53)


class InitialToken(msgspec.Struct, frozen=True):
    """`left` is how many clients it may still register; None: any number."""

    name: str
    digest: bytes
    created_at: Instant
    left: int | None = 1


class Listed(msgspec.Struct, frozen=True):
    id: str
    token: InitialToken
    expires_at: Instant | None


class InitialTokens:
    def __init__(self, store: Store, directory: Directory, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock
        self._entropy = entropy

    async def add(self, name: str, *, uses: int | None = 1, life: Seconds | None = None) -> tuple[Listed, str]:
        """The new token, and its text."""
        now = self._clock.now()
        id = base64.b32encode(self._entropy.token_bytes(10)).decode().lower()
        secret = base64url(self._entropy.token_bytes(32))
        token = InitialToken(name, _digest(secret), now, uses)
        record = Record(TOKEN_KIND, id, msgspec.msgpack.encode(token), Instant(now + life) if life else _NEVER)
        await self._store.apply(Changes((InsertRecord(record),)))
        return _listed(record), f"{TOKEN_PREFIX}{id}_{secret}"

    async def all(self) -> Sequence[Listed]:
        now = self._clock.now()
        records = await self._directory.records(TOKEN_KIND)
        return [_listed(record) for record in records if now < record.expires_at]

    async def revoke(self, id: str) -> bool:
        """Whether there was one."""
        record = await self._store.record(TOKEN_KIND, id)
        if record is None:
            return False
        try:
            await self._store.apply(Changes((ConsumeRecord(TOKEN_KIND, id, record.version, Instant(0)),)))
        except Conflict:
            return await self.revoke(id)  # it was used meanwhile
        return True

    async def use(self, presented: str) -> tuple[str, Part | None]:
        """The token's id and what its use writes. Raises InvalidToken."""
        id, _, secret = presented.removeprefix(TOKEN_PREFIX).partition("_")
        known = presented.startswith(TOKEN_PREFIX) and id.isascii() and secret.isascii()
        record = await self._store.record(TOKEN_KIND, id) if known else None
        token = msgspec.msgpack.decode(record.value, type=InitialToken) if record else None
        right = token is not None and hmac.compare_digest(token.digest, _digest(secret))
        if record is None or token is None or not right or self._clock.now() >= record.expires_at:
            raise InvalidToken("This initial access token is unknown, used up, expired or revoked.")
        if token.left is None:
            return id, None
        if token.left <= 1:
            return id, ConsumeRecord(TOKEN_KIND, id, record.version, self._clock.now())
        fewer = msgspec.msgpack.encode(msgspec.structs.replace(token, left=token.left - 1))
        return id, ReplaceRecord(Record(TOKEN_KIND, id, fewer, record.expires_at, record.version + 1))


def _listed(record: Record) -> Listed:
    until = record.expires_at if record.expires_at != _NEVER else None
    return Listed(record.key, msgspec.msgpack.decode(record.value, type=InitialToken), until)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
