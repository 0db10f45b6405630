"""Request objects that are encrypted to the server (RFC 7516), by the keys that it publishes."""

from typing import Any

from joserfc import jwe
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

from tests.serving import Detent


def key_of(detent: Detent, alg: str) -> dict[str, Any]:
    """The published one to encrypt to by this algorithm."""
    keys = detent.http.get("/.well-known/jwks.json").json()["keys"]
    found: dict[str, Any] = next(key for key in keys if (key["use"], key["alg"]) == ("enc", alg))
    return found


def to_server(detent: Detent, token: str, alg: str, enc: str, **header: Any) -> str:
    """The JWT within a JWE; a header member that is None is left out."""
    jwk = key_of(detent, alg)
    full = {"alg": alg, "enc": enc, "kid": jwk["kid"], "cty": "JWT"} | header
    protected = {name: value for name, value in full.items() if value is not None}
    key = JWKRegistry.import_key(jwk)
    assert isinstance(key, RSAKey | ECKey | OKPKey)
    return jwe.encrypt_compact(protected, token, key, algorithms=[alg, enc, "DEF"])
