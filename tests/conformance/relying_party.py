"""A relying party as the conformance suite's: registered by hand, strict about every answer.

It sends what the suite's basic modules send: a secret by Basic, a nonce, no PKCE; and its refresh tokens rotate.
"""

import base64
import hashlib
import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from detent.core.changes import InsertClient
from detent.core.policy import Overrides
from detent.resource_server import VerificationKeys, Verifier
from tests.browsing import Browser, Page
from tests.serving import REDIRECT_URI, SECRET, Detent, client

NAME, OTHER = "conformance", "conformance-2"
NONCE, STATE = "a-nonce-of-the-suite", "a-state-of-the-suite"


def register(detent: Detent) -> None:
    keys: Any = detent.house.outside.keys
    fields: dict[str, Any] = {
        "require_pkce": False,
        "extra": {"require_nonce": False},
        "overrides": Overrides(rotating=True),
        "default_audience": None,
    }
    detent.apply(*(InsertClient(client(name, "web", keys, **fields)) for name in (NAME, OTHER)))


class RelyingParty:
    """`response_mode` is form_post in the plans that are about it; None asks for the usual one."""

    def __init__(
        self, detent: Detent, name: str = NAME, response_mode: str | None = None, secret: str = SECRET
    ) -> None:
        self.detent = detent
        self.name = name
        self.response_mode = response_mode
        self.secret = secret
        self.browser = Browser(detent)
        self.told: dict[str, Any] = detent.http.get("/.well-known/openid-configuration").json()

    def __enter__(self) -> "RelyingParty":
        return self

    def __exit__(self, *exc: object) -> None:
        self.browser.http.close()

    def ask(self, method: str = "GET", **change: Any) -> Page:
        plain: dict[str, Any] = {"code_challenge": None, "code_challenge_method": None, "scope": "openid"}
        plain |= {"nonce": NONCE, "state": STATE, "response_mode": self.response_mode}
        return self.browser.authorize(self.name, method, **(plain | change))

    def answer(self, page: Page) -> dict[str, str]:
        """What comes back at the redirect URI, in the way that was asked for."""
        if self.response_mode is None:
            return page.answer
        form = page.forms[0]
        assert (page.status, form["method"], form["action"]) == (200, "post", REDIRECT_URI)
        found: dict[str, str] = form["fields"]
        return found

    def sign_in(self, **change: Any) -> Page:
        """Asked, signed in and allowed where a page wants that; the answer."""
        page = self.ask(**change)
        if page.path == "/login":
            page = self.browser.log_in(page)
        return self.browser.allow(page)

    def code(self, **change: Any) -> str:
        answer = self.answer(self.sign_in(**change))
        assert "error" not in answer, answer
        assert answer.get("state") == change.get("state", STATE)
        assert answer["iss"] == self.told["issuer"]
        assert len(answer["code"]) * 6 >= 128, "entropy"
        return answer["code"]

    def redeem(self, code: str, **change: Any) -> httpx.Response:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URI, **change}
        return self.post("token_endpoint", form)

    def refresh(self, refresh_token: str) -> httpx.Response:
        return self.post("token_endpoint", {"grant_type": "refresh_token", "refresh_token": refresh_token})

    def post(self, endpoint: str, form: dict[str, Any]) -> httpx.Response:
        return self.detent.http.post(self.told[endpoint], data=form, auth=(self.name, self.secret))

    def tokens(self, **change: Any) -> dict[str, Any]:
        """All of it, and every check that the suite makes of a token response."""
        answer = self.redeem(self.code(**change))
        return self.checked(answer, change.get("nonce", NONCE))

    def checked(self, answer: httpx.Response, nonce: str | None = None) -> dict[str, Any]:
        assert answer.status_code == 200, answer.text
        assert "no-store" in answer.headers["cache-control"]
        assert answer.headers["pragma"] == "no-cache"
        tokens: dict[str, Any] = answer.json()
        assert tokens["token_type"].lower() == "bearer"
        assert tokens["expires_in"] > 0
        assert all(value is not None for value in tokens.values())
        claims = self.id_token(tokens)
        assert claims.get("nonce") == nonce, "echoed, and absent where none was sent"
        return tokens

    def id_token(self, tokens: dict[str, Any]) -> dict[str, Any]:
        """OpenID Connect Core §3.1.3.7, by the published keys."""
        header = decoded(tokens["id_token"].split(".")[0])
        assert (header["alg"], bool(header["kid"])) == ("RS256", True)
        keys = VerificationKeys.from_jwks(self.detent.http.get(self.told["jwks_uri"]).json())
        verifier = Verifier(self.told["issuer"], self.name, ("RS256",), types=("jwt",), required=("sub",))
        claims = dict(verifier.verify(tokens["id_token"], keys, self.detent.clock.now()).raw)
        half = hashlib.sha256(tokens["access_token"].encode()).digest()[:16]
        assert claims["at_hash"] == base64.urlsafe_b64encode(half).decode().rstrip("=")
        assert len(claims["sub"]) <= 255
        return claims

    def userinfo(self, tokens: dict[str, Any], method: str = "GET") -> dict[str, Any]:
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        answer = self.detent.http.request(method, self.told["userinfo_endpoint"], headers=bearer)
        return self.person(answer, tokens)

    def person(self, answer: httpx.Response, tokens: dict[str, Any]) -> dict[str, Any]:
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        told: dict[str, Any] = answer.json()
        assert told["sub"] == self.id_token(tokens)["sub"]
        return told


def decoded(part: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=="))
    return found


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))
