"""JWT access tokens (RFC 9068), made with the keys of the moment and read back by the APIs' own verifier."""

from collections.abc import Mapping
from typing import Any, Final

from detent.core.api import SIGNING_ALGS, SigningAlg
from detent.core.ids import Instant
from detent.ports import Keys
from detent.resource_server.compact import load_object, parse_compact
from detent.resource_server.errors import InvalidToken, UnknownKey
from detent.resource_server.keys import VerificationKeys
from detent.resource_server.seen import SeenTokens
from detent.resource_server.verify import Audience, Verifier

AT_JWT = "at+jwt"
_ALGS: Final = frozenset(SIGNING_ALGS)


class Jwt:
    name = "jwt"
    self_contained = True

    def __init__(self, issuer: str, keys: Keys) -> None:
        self._keys = keys
        self._seen = SeenTokens(Verifier(issuer, Audience.ANY))
        self._held: tuple[tuple[str, ...], VerificationKeys] = ((), VerificationKeys())

    def mint(self, claims: dict[str, Any], alg: SigningAlg) -> str:
        return self._keys.sign(alg, AT_JWT, claims)

    def recognises(self, token: str) -> bool:
        return token.count(".") == 2

    def said(self, token: str) -> Mapping[str, Any] | None:
        try:
            return load_object(parse_compact(token).payload)
        except InvalidToken:
            return None

    def read(self, token: str, audience: str | None, now: Instant) -> Mapping[str, Any] | None:
        try:
            claims = self._seen.verify(token, self._verification_keys(), now)
        except UnknownKey:
            self._keys.missed()
            return None
        except InvalidToken:
            return None
        return claims.raw if audience is None or audience in claims.aud else None

    def _verification_keys(self) -> VerificationKeys:
        """Import a key once, not per token; a rotation changes the kids and so the set."""
        jwks = self._keys.public_jwks(_ALGS)
        kids = tuple([jwk["kid"] for jwk in jwks])
        if kids != self._held[0]:
            self._held = kids, VerificationKeys.from_jwks({"keys": jwks})
        return self._held[1]


def known_jwks(keys: Keys, algs: frozenset[str], token: str) -> list[dict[str, Any]]:
    """The key set, for verifying this token. Raises KeyUnknown, as ports.Keys says, and InvalidToken."""
    jwks = keys.public_jwks(algs)
    if parse_compact(token).header.get("kid") not in [jwk["kid"] for jwk in jwks]:
        keys.missed()
    return jwks
