"""Is this token good, here and now? The one verifier, used by APIs and by the server itself.

Source: RFC 9068 §4 (access tokens), RFC 8725 (JWT practices), RFC 7519 §4.1. Pure: the keys and the time are
arguments. Reading the bytes is compact.py, fetching keys jwks.py, saying no over HTTP asgi.py.
Rule: nothing in the token chooses how it is checked; the header only picks among what the Verifier allows.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from detent.resource_server.compact import MAX_TOKEN_BYTES, header_in, load_object, parse_compact
from detent.resource_server.errors import InvalidToken
from detent.resource_server.keys import SIGNATURES, VerificationKey, VerificationKeys, is_kid

MAX_LEEWAY_SECONDS: Final = 60
_MAX_INSTANT: Final = 2**53 - 1  # RFC 8259 §6: beyond it a double stands for several integers
# crit: RFC 7515 §4.1.11, none is understood; b64: RFC 7797; cty: nested, RFC 7519 §5.2; zip: RFC 8725 §3.6
REFUSED_HEADERS: Final = frozenset({"crit", "b64", "cty", "zip"})
_ALWAYS: Final = frozenset({"iss", "sub", "exp", "iat"})
_Text = Annotated[str, Meta(min_length=1)]
_Instant = Annotated[float, Meta(ge=0, le=_MAX_INSTANT)]  # RFC 7519 §2 NumericDate; true is no number to msgspec


class Audience(Enum):
    """ANY is for a caller that compares `Claims.aud` itself, as the server does at introspection."""

    ANY = "any"


class Claims(msgspec.Struct, frozen=True, gc=False):
    """What a verified token says. Instants are seconds since the epoch; with a `cnf` it is bound to a key."""

    iss: str
    sub: str
    aud: tuple[str, ...]
    exp: float
    iat: float
    client_id: str | None = None
    jti: str | None = None
    scope: frozenset[str] = frozenset()
    auth_time: float | None = None
    cnf: Mapping[str, Any] | None = None
    raw: Mapping[str, Any] = MappingProxyType({})

    def __repr__(self) -> str:
        return f"Claims({self.iss!r}, {self.sub!r}, {self.aud!r})"


@dataclass(frozen=True, slots=True, eq=False)  # what _weighed knows of one holds for no other
class Verifier:
    """What a token must be to be accepted here; the defaults are those of an RFC 9068 access token.

    `types` are the accepted `typ` values, in lower case and without `application/` ("" for a token without one).
    `required` are the string claims demanded beside iss, sub, aud, exp and iat.
    `leeway_seconds` is how far `iat` and `nbf` may lie ahead (FAPI 2.0 §5.3.2.1); `exp` has none.
    """

    issuer: str
    audience: str | Literal[Audience.ANY]
    algorithms: tuple[str, ...] = ("RS256", "PS256", "ES256", "EdDSA")
    types: tuple[str, ...] = ("at+jwt",)
    required: tuple[str, ...] = ("client_id", "jti")
    leeway_seconds: float = 10

    def __post_init__(self) -> None:
        if not self.issuer or not self.audience:
            raise ValueError("a Verifier needs an issuer and an audience")
        if not self.algorithms or not SIGNATURES.keys() >= set(self.algorithms):
            raise ValueError(f"algorithms must be some of {', '.join(SIGNATURES)}")
        if not 0 <= self.leeway_seconds <= MAX_LEEWAY_SECONDS:
            raise ValueError(f"leeway_seconds must lie between 0 and {MAX_LEEWAY_SECONDS}")

    def verify(self, token: str | bytes, keys: VerificationKeys, now: float) -> Claims:
        """Check everything. Raises InvalidToken, or UnknownKey if a newer key set might change the answer."""
        return self._checked(self.authentic(token, keys), now)

    def authentic(self, token: str | bytes, keys: VerificationKeys, max_bytes: int = MAX_TOKEN_BYTES) -> dict[str, Any]:
        """The claims of a JWT that is the issuer's and of an accepted type; of what they say nothing is checked yet."""
        jws = parse_compact(token, max_bytes)
        alg, key = _weighed(self, keys, jws.head)
        if not key.verifies(alg, jws.signing_input, jws.signature):
            raise InvalidToken("the signature does not verify")
        claims = load_object(jws.payload)
        if claims is None:
            raise InvalidToken("the payload is not a plain JSON object")
        return claims

    def check_header(self, header: Mapping[str, Any], algorithms: Collection[str]) -> tuple[str, str | None]:
        """The `alg`, one of these, and the `kid`. Raises InvalidToken.

        `jwk`, `jku`, `x5u` and `x5c` are ignored: keys come from the issuer alone (RFC 8725 §3.10)."""
        alg, typ = header.get("alg"), header.get("typ", "")
        if not isinstance(alg, str) or alg not in algorithms:
            raise InvalidToken("the algorithm is not accepted here")
        if REFUSED_HEADERS & header.keys():
            raise InvalidToken("the header asks for something that is not supported")
        # RFC 7515 §4.1.9, RFC 9068 §4: a media type, so case does not count and "application/" may be there.
        if not isinstance(typ, str) or typ.lower().removeprefix("application/") not in self.types:
            raise InvalidToken("the token is of another type")
        kid = header.get("kid")
        if "kid" in header and not is_kid(kid):
            raise InvalidToken("the key id is malformed")
        return alg, kid

    def check_claims(self, claims: Mapping[str, Any], now: float) -> Claims:
        """Check authentic claims, from a payload or from an introspection answer. Raises InvalidToken."""
        return self._checked(dict(claims), now)

    def _checked(self, claims: dict[str, Any], now: float) -> Claims:
        """As above, of claims that are nobody else's: they become `raw`."""
        registered = _registered(claims)
        checked = _claims(registered, claims)
        if checked.iss != self.issuer:
            raise InvalidToken("the issuer is another")
        if self.audience is not Audience.ANY and self.audience not in checked.aud:
            raise InvalidToken("the audience is another")
        for name in self.required:
            if name not in claims:
                raise _missing()
            if not isinstance(claims[name], str) or not claims[name]:
                raise _malformed()
        if now >= checked.exp:
            raise InvalidToken("the token has expired")
        if max(checked.iat, registered.nbf or 0) > now + self.leeway_seconds:
            raise InvalidToken("the token is not valid yet")
        return checked


@lru_cache(64)  # all tokens of a key begin alike; a refusal is not kept
def _weighed(verifier: Verifier, keys: VerificationKeys, head: bytes) -> tuple[str, VerificationKey]:
    alg, kid = verifier.check_header(header_in(head), verifier.algorithms)
    return alg, keys.select(alg, kid)


class _Registered(msgspec.Struct, frozen=True, gc=False):
    """The claims that are looked at, as their RFCs type them. Present but unreadable must not pass for absent:
    without its `cnf` a token would be a bearer token."""

    iss: _Text
    sub: _Text
    exp: _Instant
    iat: _Instant
    aud: _Text | tuple[_Text, ...]
    client_id: _Text | UnsetType = UNSET
    jti: _Text | UnsetType = UNSET
    scope: str | UnsetType = UNSET
    auth_time: _Instant | UnsetType = UNSET
    nbf: _Instant | UnsetType = UNSET
    cnf: dict[str, Any] | UnsetType = UNSET


def _registered(claims: Mapping[str, Any]) -> _Registered:
    try:
        return msgspec.convert(claims, _Registered)
    except msgspec.ValidationError:
        pass
    raise _malformed() if claims.keys() >= _ALWAYS else _missing()


def _claims(of: _Registered, raw: dict[str, Any]) -> Claims:
    return Claims(
        of.iss,
        of.sub,
        (of.aud,) if isinstance(of.aud, str) else of.aud,
        of.exp,
        of.iat,
        of.client_id or None,
        of.jti or None,
        _scope(of.scope or ""),
        None if of.auth_time is UNSET else of.auth_time,
        None if of.cnf is UNSET else of.cnf,
        MappingProxyType(raw),
    )


@lru_cache(256)  # an API's tokens ask for the same few things
def _scope(text: str) -> frozenset[str]:
    return frozenset(text.split(" ")) - {""}


def instant(claims: Mapping[str, Any], name: str) -> float | None:
    """RFC 7519 §2 NumericDate. `type` and not isinstance: true is an int to Python, not to JSON."""
    value = claims.get(name)
    if (type(value) is int or type(value) is float) and 0 <= value <= _MAX_INSTANT:
        return float(value)
    if name in claims:
        raise _malformed()
    return None


def _missing() -> InvalidToken:
    return InvalidToken("a required claim is missing")


def _malformed() -> InvalidToken:
    return InvalidToken("a claim is malformed")
