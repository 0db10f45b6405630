"""Is this token good, here and now? The one verifier, used by APIs and by the server itself.

Source: RFC 9068 §4 (access tokens), RFC 8725 (JWT practices), RFC 7519 §4.1. Pure: the keys and the time are
arguments. Reading the bytes is compact.py, fetching keys jwks.py, saying no over HTTP asgi.py.
Rule: nothing in the token chooses how it is checked; the header only picks among what the Verifier allows.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, Final, Literal

from detent.resource_server.compact import MAX_TOKEN_BYTES, load_object, parse_compact
from detent.resource_server.errors import InvalidToken
from detent.resource_server.keys import SIGNATURES, VerificationKeys, is_kid

MAX_LEEWAY_SECONDS: Final = 60
_MAX_INSTANT: Final = 2**53
# crit: RFC 7515 §4.1.11, none is understood; b64: RFC 7797; cty: nested, RFC 7519 §5.2; zip: RFC 8725 §3.6
REFUSED_HEADERS: Final = frozenset({"crit", "b64", "cty", "zip"})


class Audience(Enum):
    """ANY is for a caller that compares `Claims.aud` itself, as the server does at introspection."""

    ANY = "any"


@dataclass(frozen=True, slots=True)
class Claims:
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
    raw: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), repr=False)


@dataclass(frozen=True, slots=True)
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
        return self.check_claims(self.authentic(token, keys), now)

    def authentic(self, token: str | bytes, keys: VerificationKeys, max_bytes: int = MAX_TOKEN_BYTES) -> dict[str, Any]:
        """The claims of a JWT that is the issuer's and of an accepted type; of what they say nothing is checked yet."""
        jws = parse_compact(token, max_bytes)
        alg, kid = self.check_header(jws.header, self.algorithms)
        if not keys.select(alg, kid).verifies(alg, jws.signing_input, jws.signature):
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
        checked = _typed(claims)
        if checked.iss != self.issuer:
            raise InvalidToken("the issuer is another")
        if self.audience is not Audience.ANY and self.audience not in checked.aud:
            raise InvalidToken("the audience is another")
        if any(_string(claims, name) is None for name in self.required):
            raise InvalidToken("a required claim is missing")
        if now >= checked.exp:
            raise InvalidToken("the token has expired")
        if max(checked.iat, instant(claims, "nbf") or 0) > now + self.leeway_seconds:
            raise InvalidToken("the token is not valid yet")
        return checked


def _typed(claims: Mapping[str, Any]) -> Claims:
    iss, sub = _string(claims, "iss"), _string(claims, "sub")
    exp, iat = instant(claims, "exp"), instant(claims, "iat")
    if iss is None or sub is None or exp is None or iat is None:
        raise InvalidToken("a required claim is missing")
    cnf = claims.get("cnf")
    # Present but unreadable must not pass for absent: the token would turn into a bearer token.
    if "cnf" in claims and not isinstance(cnf, dict):
        raise _malformed()
    return Claims(
        iss=iss,
        sub=sub,
        aud=_audience(claims),
        exp=exp,
        iat=iat,
        client_id=_string(claims, "client_id"),
        jti=_string(claims, "jti"),
        scope=frozenset((_string(claims, "scope", empty=True) or "").split(" ")) - {""},
        auth_time=instant(claims, "auth_time"),
        cnf=cnf,
        raw=MappingProxyType(dict(claims)),
    )


def _string(claims: Mapping[str, Any], name: str, *, empty: bool = False) -> str | None:
    value = claims.get(name)
    if name in claims and not (isinstance(value, str) and (value or empty)):
        raise _malformed()
    return value


def instant(claims: Mapping[str, Any], name: str) -> float | None:
    """RFC 7519 §2 NumericDate. `type` and not isinstance: true is an int to Python, not to JSON."""
    if name not in claims:
        return None
    value: Any = claims[name]
    if type(value) not in (int, float) or not 0 <= value <= _MAX_INSTANT:
        raise _malformed()
    return float(value)


def _audience(claims: Mapping[str, Any]) -> tuple[str, ...]:
    value = claims.get("aud")
    audience = [value] if isinstance(value, str) else value
    if not isinstance(audience, list) or not all(isinstance(each, str) and each for each in audience):
        raise _malformed()
    return tuple(audience)


def _malformed() -> InvalidToken:
    return InvalidToken("a claim is malformed")
