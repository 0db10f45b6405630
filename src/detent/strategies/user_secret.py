"""User secret: each person has a random secret, and the key that signs their refresh tokens is made of it.

The key is derived of the server's handle key, the secret and the person's cut-off, so a password reset, which raises
that, leaves no token that verifies; the secret is drawn anew at the next sign-in. No password ever enters a key.
Refreshing spends nothing: a copy is good until it expires or its authorization is ended.
"""

from typing import Final

from detent.core.changes import InsertRecord, Part, Record, ReplaceRecord
from detent.core.ids import Instant, Subject
from detent.core.policy import REFRESH_LIFE_MAX
from detent.strategies.jwt_refresh import JwtStrategy, Proved

KIND: Final = "user_secret"
_EPOCH_BYTES, _SECRET_BYTES = 8, 32


class UserSecret(JwtStrategy):
    name = "user_secret"
    told = "Each is good, as often as it comes, until it expires or the sign-in is over; a password reset ends all."

    async def secret(self, subject: Subject, user_epoch: int, now: Instant) -> tuple[bytes, tuple[Part, ...]]:
        record = await self.store.record(KIND, subject)
        epoch = user_epoch.to_bytes(_EPOCH_BYTES, "big")
        if record and record.value.startswith(epoch) and now + REFRESH_LIFE_MAX <= record.expires_at:
            return record.value, ()
        value = epoch + self.common.entropy.token_bytes(_SECRET_BYTES)
        until = Instant(now + 2 * REFRESH_LIFE_MAX)  # longer than any token under it
        if record is None:
            return value, (InsertRecord(Record(KIND, subject, value, until)),)
        return value, (ReplaceRecord(Record(KIND, subject, value, until, record.version + 1)),)

    async def proved(self, token: str, now: Instant) -> Proved | None:
        """Whose secret it is to be proved with, only the token itself can say: garbage costs reads here."""
        said = self.common.jwts.unproved(token)
        found = await self.found(said) if said else None
        record = await self.store.record(KIND, said.sub) if said and found else None
        if not found or not record or not record.value.startswith(found.user_epoch.to_bytes(_EPOCH_BYTES, "big")):
            return None
        claims = self.common.jwts.read(self.name, token, now, record.value)
        return Proved(claims, found, record.value) if claims else None
