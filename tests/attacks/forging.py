"""Access tokens wrong down to the byte, signed with the server's own key where the signature is not the point.

So no test of a payload can pass because of its signature. `refused_everywhere` asks every door that takes a token.
"""

import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key
from joserfc.jwk import Key, RSAKey

from detent.resource_server.keys import SIGNATURES
from tests.attacks.outcomes import assert_refused
from tests.serving import Detent

B64TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
MOST_HEADER_CHARACTERS = 15_000


def base64url(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def parts_of(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a JWT, unverified."""
    header, payload, _ = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split("."))
    return json.loads(header), json.loads(payload)


class Forge:
    """Makes tokens like `genuine`, an access token for the demo API and userinfo, but for what a test changes."""

    def __init__(self, detent: Detent, keys_folder: Path) -> None:
        self.genuine: str = detent.sign_in(scope="openid read")["access_token"]
        self.header, self.claims = parts_of(self.genuine)
        files = [json.loads(path.read_bytes()) for path in keys_folder.glob("*.json")]
        [material] = [file["material"] for file in files if file["key"]["id"] == self.header["kid"]]
        native = load_der_private_key(base64.b64decode(material), None)
        assert isinstance(native, RSAPrivateKey)
        self.key: Key = RSAKey.import_key(native)

    def signed(self, header: bytes, payload: bytes, key: Key | None = None, alg: str = "RS256") -> str:
        """A compact JWS over exactly these two segments, already encoded."""
        signing_input = header + b"." + payload
        signature = SIGNATURES[alg].sign(signing_input, key or self.key)
        return (signing_input + b"." + base64url(signature)).decode()

    def raw(self, header: bytes, payload: bytes) -> str:
        """The same over two texts that are to be encoded."""
        return self.signed(base64url(header), base64url(payload))

    def minted(
        self,
        claims: Mapping[str, Any] | None = None,
        header: Mapping[str, Any] | None = None,
        *,
        without: tuple[str, ...] = (),
        key: Key | None = None,
        alg: str = "RS256",
    ) -> str:
        """The genuine token with these claims and header members, less those `without`."""
        head = {name: value for name, value in {**self.header, **(header or {})}.items() if name not in without}
        body = {name: value for name, value in {**self.claims, **(claims or {})}.items() if name not in without}
        return self.signed(base64url(json.dumps(head).encode()), base64url(json.dumps(body).encode()), key, alg)


def accepted_everywhere(detent: Detent, token: str) -> bool:
    """The control of every test here: this token opens the API and userinfo, and introspection calls it active."""
    at_userinfo = detent.http.get("/userinfo", headers={"Authorization": f"Bearer {token}"})
    answers = [detent.secret(token).status_code, at_userinfo.status_code, detent.introspect(token)["active"]]
    assert answers in ([200, 200, True], [401, 401, False]), f"the doors disagree: {answers}"
    return answers == [200, 200, True]


def assert_refused_everywhere(detent: Detent, token: str) -> None:
    """At the API, at userinfo and at introspection, in the words of each, and without a word of the token."""
    assert detent.introspect(token) == {"active": False}
    if len(token) > MOST_HEADER_CHARACTERS or not token.isprintable() or token != token.strip():
        return  # no header can carry it
    expected = (401, "invalid_token") if B64TOKEN.fullmatch(token) else (400, "invalid_request")
    at_api = detent.secret(token)
    at_userinfo = detent.http.get("/userinfo", headers=[(b"Authorization", f"Bearer {token}".encode())])
    assert (at_api.status_code, at_api.json()["error"]) == expected
    assert_refused(at_userinfo, expected[1], expected[0])
    assert len(token) < 20 or token not in at_api.text + at_userinfo.text + str(at_userinfo.headers)
