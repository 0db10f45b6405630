"""A relying party as the conformance suite's: registered by hand or by itself, strict about every answer.

It sends what the suite's basic modules send: a secret or a signed assertion, a nonce, no PKCE; and its refresh tokens
rotate.
"""

import base64
import hashlib
import json
from functools import cache
from itertools import count
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import httpx
from joserfc.jwk import Key
from msgspec.structs import replace

from detent.admin.registrations import ClientFields
from detent.client_auth.assertion import ASSERTION_TYPE
from detent.core.changes import InsertClient
from detent.core.policy import Overrides
from detent.resource_server import VerificationKeys, Verifier
from tests.browsing import Browser, Page, request_of
from tests.conformance.modules import Variant
from tests.published import jwks, key, signed
from tests.serving import REDIRECT_URI, SECRET, Detent, client

NAME, OTHER = "conformance", "conformance-2"
NONCE, STATE = "a-nonce-of-the-suite", "a-state-of-the-suite"
BY_KEY: Final = "-by-key"
BY_HAND: Final = Variant()
ITSELF: Final = Variant("dynamic")
_numbers: Final = count()


@cache
def own_key() -> Key:
    """Of every client that signs."""
    return key("mine", "RS256")


def register(detent: Detent) -> None:
    """By hand: two clients with secrets, and two with keys."""
    keys: Any = detent.house.outside.keys
    fields: dict[str, Any] = {"require_pkce": False, "overrides": Overrides(rotating=True), "default_audience": None}
    signing: dict[str, Any] = {"token_endpoint_auth_method": "private_key_jwt", "secrets": ()}
    without: dict[str, Any] = {"require_nonce": False}
    for name in (NAME, OTHER):
        with_keys = {**without, "jwks": jwks(own_key())}
        detent.apply(
            InsertClient(client(name, "web", keys, extra=without, **fields)),
            InsertClient(replace(client(name + BY_KEY, "web", keys, extra=with_keys, **fields), **signing)),
        )


def party_of(detent: Detent, variant: Variant, *, second: bool = False) -> "RelyingParty":
    if variant.registration == "dynamic":
        return registered(detent, variant)
    name = OTHER if second else NAME
    if variant.auth == "private_key_jwt":
        return RelyingParty(detent, name + BY_KEY, variant=variant)
    return RelyingParty(detent, name, variant=variant)


def ask_to_register(detent: Detent, **metadata: Any) -> httpx.Response:
    """RFC 7591 §3, with an initial access token."""
    _, token = detent.thread.call(detent.house.initial_tokens.add("suite"))
    told = detent.http.get("/.well-known/openid-configuration").json()
    document = {"redirect_uris": [REDIRECT_URI], "client_name": "suite", **metadata}
    return detent.http.post(told["registration_endpoint"], json=document, headers={"authorization": f"Bearer {token}"})


def registered(detent: Detent, variant: Variant = ITSELF, **metadata: Any) -> "RelyingParty":
    """A client that registered itself; the operator lets its refresh tokens rotate."""
    asked: dict[str, Any] = {"token_endpoint_auth_method": variant.auth, **metadata}
    if variant.auth == "private_key_jwt" and not {"jwks", "jwks_uri"} & metadata.keys():
        asked["jwks"] = jwks(own_key())
    answer = ask_to_register(detent, **asked)
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert {name: told[name] for name in asked} == asked, "all of it is echoed"
    detent.thread.call(detent.house.registrations.update_client(told["client_id"], ClientFields(rotating=True)))
    return RelyingParty(detent, told["client_id"], secret=told.get("client_secret", ""), variant=variant)


class RelyingParty:
    def __init__(self, detent: Detent, name: str = NAME, *, secret: str = SECRET, variant: Variant = BY_HAND) -> None:
        self.detent = detent
        self.name = name
        self.secret = secret
        self.variant = variant
        self.browser = Browser(detent)
        self.told: dict[str, Any] = detent.http.get("/.well-known/openid-configuration").json()
        self.key = own_key()
        self.audience: str = self.told["token_endpoint"]  # of its assertions, as the suite makes them

    def __enter__(self) -> "RelyingParty":
        return self

    def __exit__(self, *exc: object) -> None:
        self.browser.http.close()

    def ask(self, method: str = "GET", *, backwards: bool = False, **change: Any) -> Page:
        plain: dict[str, Any] = {"code_challenge": None, "code_challenge_method": None, "scope": "openid"}
        plain |= {"nonce": NONCE, "state": STATE, "response_mode": self.variant.response_mode}
        if backwards:
            request = request_of(self.name, **(plain | change))
            return self.browser.open("/authorize", params=dict(reversed(request.items())))
        return self.browser.authorize(self.name, method, **(plain | change))

    def answer(self, page: Page, at: str = REDIRECT_URI) -> dict[str, str]:
        """What comes back at the redirect URI, in the way that was asked for."""
        if self.variant.response_mode is None:
            return page.answer
        form = page.forms[0]
        assert (page.status, form["method"], form["action"]) == (200, "post", at)
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
        match self.variant.auth:
            case "client_secret_basic":
                return self.detent.http.post(self.told[endpoint], data=form, auth=(self.name, self.secret))
            case "private_key_jwt":
                proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": self.assertion()}
            case _:
                proof = {"client_id": self.name, "client_secret": self.secret}
        return self.detent.http.post(self.told[endpoint], data={**form, **proof})

    def assertion(self) -> str:
        now = self.detent.clock.now()
        said = {"iss": self.name, "sub": self.name, "aud": self.audience, "iat": now, "exp": now + 60}
        return signed(self.key, {**said, "jti": f"jti-{next(_numbers)}"})

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


def unsigned(claims: dict[str, Any]) -> str:
    """`alg: none`."""
    parts = (json.dumps(each).encode() for each in ({"alg": "none"}, claims))
    return ".".join((*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), ""))


def decoded(part: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=="))
    return found


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))
