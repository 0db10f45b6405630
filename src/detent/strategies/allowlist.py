"""Allowlist: every refresh token that is good is a record; what is not in the list is refused.

A refresh takes the old one out and puts its successor in, in one commit, so each is good once. Who presents a spent
one is refused without any further consequence: owner and thief are not told apart.
"""

from typing import Final

from detent.core.changes import ConsumeRecord, InsertRecord, Part, Record
from detent.core.family import Family
from detent.core.ids import Instant
from detent.strategies.jwt_refresh import JwtStrategy, refuse
from detent.tokens.refresh_jwt import RefreshClaims

KIND: Final = "allowed_refresh_token"


class Allowlist(JwtStrategy):
    name = "allowlist"
    told = "Each is good once, while it is in the list of those that are."

    async def begun(self, family: Family, first: RefreshClaims) -> tuple[Part, ...]:
        return (_added(first),)

    async def spent(self, old: RefreshClaims, new: RefreshClaims, now: Instant) -> tuple[Part, ...]:
        taken = await self.ended(old, now)
        if not taken:
            refuse("not in the allowlist")
        return (*taken, _added(new))

    async def ended(self, token: RefreshClaims, now: Instant) -> tuple[Part, ...]:
        record = await self.store.record(KIND, token.jti)
        if record is None or record.expires_at <= now:
            return ()
        return (ConsumeRecord(KIND, token.jti, record.version, now),)


def _added(token: RefreshClaims) -> Part:
    return InsertRecord(Record(KIND, token.jti, b"", token.exp))
