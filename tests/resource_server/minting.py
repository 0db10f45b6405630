"""An issuer under test control: keys made once, tokens right or wrong down to the byte.

Wrong tokens are signed for real, so that a test of the payload cannot pass because of the signature.
"""

import base64
from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from detent.resource_server import VerificationKeys, Verifier
from detent.resource_server.keys import SIGNATURES

ISSUER = "https://id.example/"
AUDIENCE = "https://api.example"
NOW = 1_800_000_000.0

VERIFIER = Verifier(issuer=ISSUER, audience=AUDIENCE)
CLAIMS: Mapping[str, Any] = {
    "iss": ISSUER,
    "sub": "alice",
    "aud": [AUDIENCE, ISSUER + "userinfo"],
    "exp": NOW + 600,
    "iat": NOW,
    "client_id": "testclient",
    "jti": "Y2hlZXJz",
    "scope": "openid read:secret",
}


class ManualClock:
    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@cache
def private_key(name: str) -> Key:
    """A key pair per name, for the whole run: "RS256", "ES256", "EdDSA", or anything that begins so."""
    kind = name.split("-")[0]
    if kind == "RS256":
        return RSAKey.generate_key(2048)
    if kind == "EdDSA":
        return OKPKey.generate_key("Ed25519")
    return ECKey.generate_key({"ES256": "P-256", "ES384": "P-384"}[kind])


def public_jwk(name: str, **members: Any) -> dict[str, Any]:
    jwk: dict[str, Any] = private_key(name).as_dict(private=False)
    return {**jwk, "kid": name, "alg": name.split("-")[0], "use": "sig", **members}


def jwks(*names: str) -> dict[str, Any]:
    return {"keys": [public_jwk(name) for name in names or ("RS256", "ES256", "EdDSA")]}


@cache
def keys(*names: str) -> VerificationKeys:
    return VerificationKeys.from_jwks(jwks(*names))


def base64url(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def signed(header: bytes, payload: bytes, key: str = "RS256", alg: str | None = None) -> str:
    """A compact JWS over exactly these bytes."""
    signing_input = base64url(header) + b"." + base64url(payload)
    signature = SIGNATURES[alg or key.split("-")[0]].sign(signing_input, private_key(key))
    return (signing_input + b"." + base64url(signature)).decode()


def minted(
    claims: Mapping[str, Any] | None = None,
    *,
    key: str = "RS256",
    header: Mapping[str, Any] | None = None,
    without: tuple[str, ...] = (),
) -> str:
    """A good access token as the server spells it, but for the claims and header members given or taken away."""
    head = {"alg": key.split("-")[0], "typ": "at+jwt", "kid": key, **(header or {})}
    body = {**CLAIMS, **(claims or {})}
    for name in without:
        head.pop(name, None)
        body.pop(name, None)
    return signed(msgspec.json.encode(head), msgspec.json.encode(body), key)
