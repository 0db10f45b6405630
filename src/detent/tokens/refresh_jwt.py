"""JWT refresh tokens: signed by us and read by us alone, so by a secret (HS256) that is made of a handle key.

Each strategy has its own `typ` and its own key, so no token passes for another strategy's (RFC 8725 §3.11); a
strategy may mix a secret of its own into the key. Whether a token that is authentic is still good is up to
strategies/.
"""

from hashlib import blake2b
from typing import Final

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from detent.core.authorization import Authorization
from detent.core.base64url import base64url
from detent.core.ids import ClientId, FamilyKey, Instant, Subject
from detent.ports import Keys
from detent.resource_server.compact import CompactJws, load_object, parse_compact
from detent.resource_server.errors import InvalidToken

ALG: Final = "HS256"


class RefreshClaims(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a JWT refresh token says; `grant` and `absolute_until` only where no row is read to know them."""

    iss: str
    sub: Subject
    client_id: ClientId
    authorization_id: str
    iat: Instant
    exp: Instant
    jti: str
    restore_epoch: int = 0
    grant: Authorization | None = None
    absolute_until: Instant = Instant(0)

    @property
    def key(self) -> FamilyKey | None:
        return FamilyKey.parse(self.authorization_id)


class RefreshJwts:
    def __init__(self, issuer: str, keys: Keys) -> None:
        self.issuer = issuer
        self._keys = keys

    def sign(self, strategy: str, claims: RefreshClaims, secret: bytes = b"") -> str:
        keys = self._keys.handle_keys()
        header = {"alg": ALG, "typ": _typ(strategy), "kid": str(keys.current)}
        key = _key(keys.keys[keys.current], strategy, secret)
        return jws.serialize_compact(header, msgspec.json.encode(claims), key, algorithms=[ALG])

    def unproved(self, token: str) -> RefreshClaims | None:
        """What it says, which anybody may have written: only to look up the secret that proves it."""
        parsed = _parsed(token)
        content = load_object(parsed.payload) if parsed else None
        try:
            return msgspec.convert(content, RefreshClaims)
        except msgspec.ValidationError:
            return None

    def read(self, strategy: str, token: str, now: Instant, secret: bytes = b"") -> RefreshClaims | None:
        """The claims of an authentic token of this strategy that has not expired; else None. No I/O."""
        parsed = _parsed(token)
        kid = parsed.header.get("kid") if parsed else None
        if parsed is None or parsed.header != {"alg": ALG, "typ": _typ(strategy), "kid": kid}:
            return None
        key = self._keys.handle_keys().keys.get(_number(kid))
        if key is None:
            self._keys.missed()
            return None
        try:
            jws.deserialize_compact(token, _key(key, strategy, secret), algorithms=[ALG])
        except JoseError:
            return None
        claims = self.unproved(token)
        return claims if claims and claims.iss == self.issuer and now < claims.exp else None


def _parsed(token: str) -> CompactJws | None:
    try:
        return parse_compact(token)
    except InvalidToken:
        return None


def beginning(strategy: str) -> str:
    """What every token of this strategy begins with and no other token of ours: as much of its head as no key changes.

    Whole threes of its bytes, since what follows would change the last character of any more.
    """
    head = f'{{"alg":"{ALG}","typ":"{_typ(strategy)}","kid":"'.encode()
    return base64url(head[: len(head) // 3 * 3])


def _typ(strategy: str) -> str:
    return f"{strategy}+rt+jwt"


def _number(kid: object) -> int:
    return int(kid) if isinstance(kid, str) and kid.isascii() and kid.isdecimal() and len(kid) <= 5 else 0


def _key(handle_key: bytes, strategy: str, secret: bytes) -> OctKey:
    """A key per strategy, and per secret: whoever has one has none of the others."""
    content = strategy.encode() + b"\0" + secret
    return OctKey.import_key(blake2b(content, key=handle_key, person=b"detent rt jwt", digest_size=32).digest())
