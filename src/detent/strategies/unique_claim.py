"""Unique claim: one value is saved for each person and client, and only the refresh token that carries it is good.

Every sign-in and every refresh saves a new one, so a second device signs the first one out. The value is the `jti`
and not the `iat`, for two sign-ins in one second have the same `iat`.
"""

import hmac
from typing import Final

from detent.core.changes import ConsumeRecord, InsertRecord, Part, Record, ReplaceRecord
from detent.core.family import Family
from detent.core.ids import Instant
from detent.strategies.jwt_refresh import JwtStrategy, refuse
from detent.tokens.refresh_jwt import RefreshClaims

KIND: Final = "unique_refresh_token"


class UniqueClaim(JwtStrategy):
    name = "unique_claim"
    told = "Only the last one that this person got in this app is good: another sign-in there ends this one."

    async def begun(self, family: Family, first: RefreshClaims) -> tuple[Part, ...]:
        return (_saved(first, await self.store.record(KIND, _place(first))),)

    async def spent(self, old: RefreshClaims, new: RefreshClaims, now: Instant) -> tuple[Part, ...]:
        record = await self.store.record(KIND, _place(old))
        if not _is_saved(old, record):
            refuse("not the value saved at the last sign-in or refresh")
        return (_saved(new, record),)

    async def ended(self, token: RefreshClaims, now: Instant) -> tuple[Part, ...]:
        record = await self.store.record(KIND, _place(token))
        if record is None or not _is_saved(token, record):
            return ()
        return (ConsumeRecord(KIND, record.key, record.version, now),)


def _place(token: RefreshClaims) -> str:
    return f"{token.client_id} {token.sub}"  # neither holds a space


def _is_saved(token: RefreshClaims, record: Record | None) -> bool:
    return record is not None and hmac.compare_digest(record.value, token.jti.encode())


def _saved(token: RefreshClaims, before: Record | None) -> Part:
    value, place = token.jti.encode(), _place(token)
    if before is None:
        return InsertRecord(Record(KIND, place, value, token.exp))
    return ReplaceRecord(Record(KIND, place, value, token.exp, before.version + 1))
