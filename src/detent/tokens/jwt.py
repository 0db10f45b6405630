"""JWT access tokens (RFC 9068), made with the keys of the moment and read back by the APIs' own verifier."""

from collections.abc import Mapping
from typing import Any

from detent.core.api import SigningAlg
from detent.core.ids import Instant
from detent.ports import Keys
from detent.resource_server.seen import SeenTokens
from detent.resource_server.verify import Audience, Verifier
from detent.tokens.own import OwnTokens, said

AT_JWT = "at+jwt"


class Jwt:
    name = "jwt"
    self_contained = True

    def __init__(self, issuer: str, keys: Keys) -> None:
        self._keys = keys
        self._own = OwnTokens(keys, SeenTokens(Verifier(issuer, Audience.ANY)))

    async def mint(self, claims: dict[str, Any], alg: SigningAlg) -> str:
        return await self._keys.sign(alg, AT_JWT, claims)

    def recognises(self, token: str) -> bool:
        return token.count(".") == 2

    def said(self, token: str) -> Mapping[str, Any] | None:
        return said(token)

    def read(self, token: str, audience: str | None, now: Instant) -> Mapping[str, Any] | None:
        claims = self._own.read(token, now)
        return claims.raw if claims and (audience is None or audience in claims.aud) else None
