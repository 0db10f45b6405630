"""Denylist: a refresh token is good unless it is in the list of those that were spent or revoked.

A token stays in the list until it would have expired by itself, so the list grows with every refresh and shrinks
only with time. Once the store forgets, what it forgot is good again: hence tokens of before a restore are refused.
"""

from typing import Final

from detent.core.changes import InsertRecord, Part, Record
from detent.core.ids import Instant
from detent.strategies.jwt_refresh import JwtStrategy, refuse
from detent.tokens.refresh_jwt import RefreshClaims

KIND: Final = "denied_refresh_token"


class Denylist(JwtStrategy):
    name = "denylist"
    told = "Each is good once, unless it is in the list of those that were revoked."

    async def spent(self, old: RefreshClaims, new: RefreshClaims, now: Instant) -> tuple[Part, ...]:
        if await self.store.record(KIND, old.jti):
            refuse("in the denylist")
        return await self.ended(old, now)

    async def ended(self, token: RefreshClaims, now: Instant) -> tuple[Part, ...]:
        return (InsertRecord(Record(KIND, token.jti, b"", token.exp)),)
