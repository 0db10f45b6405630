"""What somebody else publishes, on a real socket: keys, documents, request objects; and clients that sign."""

import json
import warnings
from typing import Any

from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from detent.testing.server import Loopback
from detent.web.asgi import Receive, Scope, Send


class Published:
    """Answers every GET with `body`; counts them, and can answer badly."""

    def __init__(self, body: Any = b"", *, at: Loopback | None = None) -> None:
        self.at = at or Loopback()
        self.url = f"{self.at.url}document"
        self.body = body
        self.status = 200
        self.headers: dict[str, str] = {}
        self.asked = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += 1
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        headers = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def key(kid: str, alg: str = "ES256") -> Key:
    parameters: Any = {"kid": kid, "use": "sig", "alg": alg}
    if alg.startswith("ES"):
        return ECKey.generate_key("P-256", parameters)
    return OKPKey.generate_key("Ed25519", parameters) if alg == "EdDSA" else RSAKey.generate_key(2048, parameters)


def jwks(*keys: Key) -> dict[str, Any]:
    return {"keys": [each.as_dict(private=False) for each in keys]}


def signed(key: Any, claims: dict[str, Any], **header: Any) -> str:
    """A compact JWT; a header member that is None is left out."""
    full = {"alg": key.get("alg"), "kid": key.kid} | header
    protected = {name: value for name, value in full.items() if value is not None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # EdDSA has another name since RFC 9864
        return jwt.encode(protected, claims, key, algorithms=[protected["alg"]])
