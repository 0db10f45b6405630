"""A client that holds a key: proofs right or wrong down to the byte (RFC 9449), and requests that carry them."""

import base64
import hashlib
import json
from collections.abc import Mapping
from itertools import count
from typing import Any

import httpx
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from detent.resource_server.keys import SIGNATURES
from detent.resource_server.proof import ALGORITHMS
from tests.attacks.outcomes import assert_refused
from tests.serving import API, CONFIDENTIAL, REDIRECT_URI, SECRET, VERIFIER, Detent

Tokens = dict[str, Any]
MACHINE = {"grant_type": "client_credentials", "resource": API}
_numbers = count(1)


def made(alg: str) -> Key:
    if alg[:2] in ("RS", "PS"):
        return RSAKey.generate_key(2048)
    if alg.startswith("Ed"):
        return OKPKey.generate_key("Ed25519")
    return ECKey.generate_key({"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[alg])


class Prover:
    """One key, and the last nonce that it was told."""

    def __init__(self, alg: str = "ES256") -> None:
        self.alg = alg
        self.key = made(alg)
        self.jkt = self.key.thumbprint()
        self.nonce: str | None = None

    def proved(
        self,
        method: str,
        url: str,
        now: float,
        token: str | None = None,
        *,
        header: Mapping[str, Any] = {},
        signer: Key | None = None,
        **claims: Any,
    ) -> str:
        """A good proof but for what is given; None takes a member away."""
        head = {"typ": "dpop+jwt", "alg": self.alg, "jwk": self.key.as_dict(private=False), **header}
        body = {
            "jti": f"proof-{next(_numbers)}",
            "htm": method,
            "htu": url,
            "iat": now,
            "nonce": self.nonce,
            "ath": _base64url(hashlib.sha256(token.encode()).digest()) if token else None,
            **claims,
        }
        parts = [_json(head), _json({name: value for name, value in body.items() if value is not None})]
        signing_input = ".".join(parts).encode()
        if head["alg"] not in SIGNATURES:
            return f"{signing_input.decode()}.{_base64url(b'x' * 32)}"
        signature = SIGNATURES[head["alg"]].sign(signing_input, signer or self.key)
        return f"{signing_input.decode()}.{_base64url(signature)}"


class Holder(Prover):
    """A key and the server that it speaks to, as a client does (RFC 9449 §8)."""

    def __init__(self, detent: Detent, alg: str = "ES256") -> None:
        super().__init__(alg)
        self.detent = detent

    def proof(self, method: str = "POST", url: str = "", token: str | None = None, **more: Any) -> str:
        """For the token endpoint, unless another place is named."""
        return self.proved(method, url or f"{self.detent.issuer}oauth/token", self.detent.clock.now(), token, **more)

    def ask(self, client: str, *proofs: str, **form: str) -> httpx.Response:
        """A request to the token endpoint with these proofs, or else with a good one and, if told to, its nonce."""
        answer = self.send(client, *(proofs or (self.proof(),)), **form)
        if not proofs and answer.json().get("error") == "use_dpop_nonce":
            return self.send(client, self.proof(), **form)
        return answer

    def send(self, client: str, *proofs: str, **form: str) -> httpx.Response:
        answer = self.detent.http.send(self.request(client, *proofs, **form))
        self.nonce = answer.headers.get("dpop-nonce", self.nonce)
        return answer

    def request(self, client: str, *proofs: str, **form: str) -> httpx.Request:
        secret = {"client_secret": SECRET} if client in CONFIDENTIAL else {}
        headers = [("DPoP", proof) for proof in proofs]
        fields = {"client_id": client, **secret, **form}
        return self.detent.http.build_request("POST", "/oauth/token", data=fields, headers=headers)

    def redeem(self, client: str, code: str, *proofs: str) -> httpx.Response:
        form = {"grant_type": "authorization_code", "redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER}
        return self.ask(client, *proofs, code=code, **form)

    def refresh(self, client: str, refresh_token: str, *proofs: str) -> httpx.Response:
        return self.ask(client, *proofs, grant_type="refresh_token", refresh_token=refresh_token)

    def sign_in(self, client: str = "app", **code: Any) -> Tokens:
        answer = self.redeem(client, self.detent.code(client, **code))
        assert answer.status_code == 200, answer.text
        tokens: Tokens = answer.json()
        return tokens

    def userinfo(self, token: str, *proofs: str, scheme: str = "DPoP") -> httpx.Response:
        url = f"{self.detent.issuer}userinfo"
        headers = [("Authorization", f"{scheme} {token}")]
        headers += [("DPoP", proof) for proof in proofs or (self.proof("GET", url, token),)]
        answer = self.detent.http.get("/userinfo", headers=headers)
        self.nonce = answer.headers.get("dpop-nonce", self.nonce)
        return answer


def knowing(detent: Detent) -> Holder:
    holder = Holder(detent)
    assert holder.ask("machine", **MACHINE).status_code == 200
    return holder


def assert_unproved(answer: httpx.Response, error: str = "invalid_dpop_proof") -> None:
    """401 with the challenge of DPoP (RFC 9449 §7.1)."""
    assert_refused(answer, error, 401)
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith(f'DPoP algs="{" ".join(ALGORITHMS)}", error="{error}"')


def at_api(holder: Holder, token: str, path: str = "/secret", *proofs: str) -> httpx.Response:
    """A request to the demo API with this token, bound to whatever."""
    api = holder.detent.api
    given = proofs or (holder.proof("GET", str(api.base_url.join(path)), token),)
    return api.get(path, headers=[("Authorization", f"DPoP {token}"), *(("DPoP", proof) for proof in given)])


def _json(value: Any) -> str:
    return _base64url(json.dumps(value).encode())


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
