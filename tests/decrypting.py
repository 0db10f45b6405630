"""Clients whose tokens are encrypted to them, and how they open them (RFC 7516)."""

import json
from base64 import urlsafe_b64decode
from typing import Any

from joserfc import jwe
from joserfc.jwk import ECKey, OKPKey, RSAKey

from detent.core.changes import InsertClient
from detent.core.client import ID_TOKEN_ALG, USERINFO_ALG
from tests.serving import Detent, client

Private = RSAKey | ECKey | OKPKey


def key_for(alg: str, kid: str = "mine") -> Private:
    parameters: Any = {"kid": kid, "use": "enc"}
    if alg.startswith("RSA"):
        return RSAKey.generate_key(2048, parameters)
    return ECKey.generate_key("P-256", parameters)


def jwks_of(*keys: Private) -> dict[str, Any]:
    return {"keys": [key.as_dict(private=False) for key in keys]}


def opened(token: str, key: Private) -> tuple[dict[str, Any], str]:
    """The header of a JWE and what is inside."""
    header = json.loads(urlsafe_b64decode(token.split(".")[0] + "=="))
    found = jwe.decrypt_compact(token, key, algorithms=[header["alg"], header["enc"]])
    assert found.plaintext is not None
    return header, found.plaintext.decode()


def register(detent: Detent, name: str, **extra: Any) -> None:
    """A native app that is told of people in encrypted tokens alone."""
    keys: Any = detent.house.outside.keys
    signed = {ID_TOKEN_ALG: "RS256", USERINFO_ALG: "RS256"}
    detent.apply(InsertClient(client(name, "native", keys, extra=signed | extra)))
