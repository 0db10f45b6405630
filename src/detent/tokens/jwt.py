"""JWT access tokens (RFC 9068), made with the keys of the moment and read back by the APIs' own verifier."""

from collections.abc import Mapping
from typing import Any

from detent.core.api import SIGNING_ALGS, SigningAlg
from detent.core.ids import Instant
from detent.ports import Keys
from detent.resource_server.compact import load_object, parse_compact
from detent.resource_server.errors import InvalidToken
from detent.resource_server.keys import VerificationKeys
from detent.resource_server.verify import Audience, Verifier

AT_JWT = "at+jwt"


class Jwt:
    name = "jwt"
    self_contained = True

    def __init__(self, issuer: str, keys: Keys) -> None:
        self._issuer = issuer
        self._keys = keys
        self._read: tuple[tuple[str, ...], VerificationKeys] = ((), VerificationKeys())

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
        verifier = Verifier(self._issuer, audience or Audience.ANY)
        try:
            return verifier.verify(token, self._verification_keys(token), now).raw
        except InvalidToken:
            return None

    def _verification_keys(self, token: str) -> VerificationKeys:
        """Import a key once, not per token; a rotation changes the kids and so the set."""
        jwks = known_jwks(self._keys, frozenset(SIGNING_ALGS), token)
        kids = tuple(jwk["kid"] for jwk in jwks)
        if kids != self._read[0]:
            self._read = kids, VerificationKeys.from_jwks({"keys": jwks})
        return self._read[1]


def known_jwks(keys: Keys, algs: frozenset[str], token: str) -> list[dict[str, Any]]:
    """The key set, for verifying this token. Raises KeyUnknown, as ports.Keys says, and InvalidToken."""
    jwks = keys.public_jwks(algs)
    if parse_compact(token).header.get("kid") not in [jwk["kid"] for jwk in jwks]:
        keys.missed()
    return jwks
