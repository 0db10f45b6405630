"""Did whoever sent this request hold the private key? One DPoP proof, judged (RFC 9449 §4.3).

Used by the server at its own endpoints and by the guard before an API: one verifier on both sides of the wire. Pure:
the request, the time and the token are arguments. That a proof counts once, and which nonces are good, is up to the
caller; so is whether its key is the one that a token is bound to.
"""

import base64
import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from detent.resource_server.compact import load_object, parse_compact
from detent.resource_server.errors import InvalidProof, InvalidToken
from detent.resource_server.keys import VerificationKey
from detent.resource_server.verify import REFUSED_HEADERS, instant

ALGORITHMS: Final = ("ES256", "EdDSA", "Ed25519", "PS256", "RS256", "ES384", "ES512")
IAT_WINDOW_SECONDS: Final = 300  # either way: clocks of phones and laptops drift by minutes
MAX_JTI_CHARACTERS: Final = 256
_PORTS: Final = {"http": 80, "https": 443}
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})?")
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9\-._~]")


@dataclass(frozen=True, slots=True)
class Proof:
    """`jkt` is the thumbprint of the key that was proved (RFC 7638); nobody accepts the proof from `dead_from` on."""

    jkt: str
    jti: str = field(repr=False)
    dead_from: float
    nonce: str | None = field(default=None, repr=False)

    @property
    def id(self) -> str:
        """What a memory of used proofs knows it by: 43 characters, whatever the client chose as `jti`."""
        return _base64url(hashlib.sha256(f"{self.jkt}.{self.jti}".encode()).digest())


def verify_proof(proof: str, *, method: str, urls: Collection[str], now: float, access_token: str | None) -> Proof:
    """Check everything but nonce and replay. Raises InvalidProof.

    `urls` are those under which this request may have been sent; with `access_token` the proof must name it (`ath`).
    """
    try:
        return _checked(proof, method, urls, now, access_token)
    except InvalidToken as error:
        raise InvalidProof(error.reason) from None


def _checked(proof: str, method: str, urls: Collection[str], now: float, access_token: str | None) -> Proof:
    jws = parse_compact(proof)
    key = _key(jws.header)
    if not key.verifies(jws.header["alg"], jws.signing_input, jws.signature):
        raise InvalidToken("the signature does not verify")
    claims = load_object(jws.payload)
    if claims is None:
        raise InvalidToken("the payload is not a plain JSON object")
    jti, nonce, htu = claims.get("jti"), claims.get("nonce"), claims.get("htu")
    if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI_CHARACTERS:
        raise InvalidToken(f"jti must be a string of at most {MAX_JTI_CHARACTERS} characters")
    if claims.get("htm") != method:
        raise InvalidToken("htm is not the method of this request")
    if not isinstance(htu, str) or (meant := normalised(htu)) is None or meant not in map(normalised, urls):
        raise InvalidToken("htu is not the URL of this request")
    if "nonce" in claims and not isinstance(nonce, str):
        raise InvalidToken("nonce must be a string")
    if access_token is not None and claims.get("ath") != _base64url(hashlib.sha256(access_token.encode()).digest()):
        raise InvalidToken("ath is not the hash of the access token")
    return Proof(key.thumbprint, jti, _dead_from(claims, now), nonce)


def _key(header: Mapping[str, Any]) -> VerificationKey:
    typ, jwk = header.get("typ"), header.get("jwk")
    if not isinstance(typ, str) or typ.lower().removeprefix("application/") != "dpop+jwt":
        raise InvalidToken("typ must be dpop+jwt")
    if header.get("alg") not in ALGORITHMS:
        raise InvalidToken(f"alg must be one of {' '.join(ALGORITHMS)}")
    if REFUSED_HEADERS & header.keys():
        raise InvalidToken("the header asks for something that is not supported")
    key = VerificationKey.from_jwk(jwk) if isinstance(jwk, dict) else None
    if key is None:
        raise InvalidToken("jwk must be a public key for signatures, without private members")
    return key


def _dead_from(claims: Mapping[str, Any], now: float) -> float:
    """RFC 9449 §4.3 item 11; `exp` and `nbf` are not asked for, and meant where they are there (RFC 7519 §4.1)."""
    iat, exp, nbf = instant(claims, "iat"), instant(claims, "exp"), instant(claims, "nbf")
    if iat is None or abs(now - iat) > IAT_WINDOW_SECONDS:
        raise InvalidToken(f"iat is not within {IAT_WINDOW_SECONDS} seconds of now, so a clock must be wrong")
    if (exp is not None and now >= exp + IAT_WINDOW_SECONDS) or (nbf is not None and nbf > now + IAT_WINDOW_SECONDS):
        raise InvalidToken("it has expired or is not valid yet")
    return iat + IAT_WINDOW_SECONDS + 1


def normalised(url: str) -> str | None:
    """An http(s) URL without query and fragment (RFC 3986 §6.2.2, §6.2.3); None for anything else."""
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    if port is None or not parts.hostname or parts.username is not None:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}{_ESCAPE.sub(_escape, parts.path) or '/'}"


def _escape(found: re.Match[str]) -> str:
    """One spelling of each character; a stray percent sign stays, and matches nothing that is routed."""
    if not found[1]:
        return found[0]
    character = chr(int(found[1], 16))
    return character if _UNRESERVED.fullmatch(character) else found[0].upper()


def _base64url(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
