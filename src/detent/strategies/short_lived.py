"""Short-lived: nothing is remembered and nothing is read; a refresh token is good until it expires.

It cannot be revoked, and says so: the revocation endpoint answers `unsupported_token_type` (RFC 7009 §2.2.1) after
it ended what it can, the access tokens at introspection. So a sign-in lasts an hour in all, and an access token ten
minutes (core/policy.py). Cut-offs of the client and of the server hold, for they are known without a read.
"""

from typing import NoReturn

import msgspec

from detent.core.client import Client
from detent.core.errors import UnsupportedTokenType
from detent.core.family import Family
from detent.core.ids import Instant
from detent.core.session import SessionLife
from detent.ports import FoundFamily
from detent.strategies.jwt_refresh import JwtStrategy
from detent.tokens.refresh_jwt import RefreshClaims


class ShortLived(JwtStrategy):
    name = "short_lived"
    told = "They cannot be revoked: each is good until it expires, whatever happened to the sign-in."

    def claims(self, family: Family, client: Client, restore_epoch: int, now: Instant) -> RefreshClaims:
        """With all that was granted, so that no row is needed to know it."""
        plain = super().claims(family, client, restore_epoch, now)
        return msgspec.structs.replace(plain, grant=family.authorization, absolute_until=family.absolute_until)

    async def found(self, claims: RefreshClaims) -> FoundFamily | None:
        """What the row was when the person signed in, as the token says; that their session goes on is believed."""
        key, grant, until = claims.key, claims.grant, claims.absolute_until
        if key is None or grant is None:
            return None
        return FoundFamily(Family(key, grant, until), grant.epochs.user, SessionLife(claims.iat, until, until))

    async def ended(self, token: RefreshClaims, now: Instant) -> NoReturn:
        raise UnsupportedTokenType(
            f"Refresh tokens of this client are short-lived and cannot be revoked: forget it. It ends by itself in "
            f"{token.exp - now} seconds."
        )
