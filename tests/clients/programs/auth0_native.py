"""A native app without a secret, on auth0-python."""

import os
from urllib.parse import parse_qsl

from play import Tokens, play

ISSUER, CLIENT_ID = os.environ["ISSUER"], os.environ["CLIENT_ID"]

# the page shows from here
import hashlib
import secrets
from base64 import urlsafe_b64encode
from typing import Any
from urllib.parse import urlencode, urlsplit

from auth0.authentication import GetToken, RevokeToken
from auth0.authentication.token_verifier import AsymmetricSignatureVerifier, TokenVerifier

REDIRECT_URI = "http://127.0.0.1:7777/callback"
RETURN_URI = "http://127.0.0.1:7777/signed-out"
DOMAIN = urlsplit(ISSUER).netloc

tokens = GetToken(DOMAIN, CLIENT_ID)
verifier = TokenVerifier(
    signature_verifier=AsymmetricSignatureVerifier(f"{ISSUER}.well-known/jwks.json"),
    issuer=ISSUER,  # with its slash at the end
    audience=CLIENT_ID,
)
under_way: dict[str, str] = {}


def begin() -> str:
    under_way.update(state=secrets.token_urlsafe(), nonce=secrets.token_urlsafe(), verifier=secrets.token_urlsafe(48))
    digest = hashlib.sha256(under_way["verifier"].encode()).digest()
    asked = {
        "client_id": CLIENT_ID,
        "redirect_uri": REDIRECT_URI,
        "response_type": "code",
        "scope": "openid profile email read offline_access",
        "state": under_way["state"],
        "nonce": under_way["nonce"],
        "code_challenge": urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    return f"{ISSUER}authorize?{urlencode(asked)}"


def finish(code: str, state: str) -> dict[str, Any]:
    if state != under_way["state"]:
        raise ValueError("this answer belongs to another sign-in")
    answer = tokens.authorization_code_pkce(under_way["verifier"], code, REDIRECT_URI)
    verifier.verify(answer["id_token"], nonce=under_way["nonce"])
    return answer


def refresh(refresh_token: str) -> dict[str, Any]:
    answer = tokens.refresh_token(refresh_token)
    verifier.verify(answer["id_token"])
    return answer  # keep its refresh_token in place of the old one


def revoke(refresh_token: str) -> None:
    RevokeToken(DOMAIN, CLIENT_ID).revoke_refresh_token(refresh_token)


def sign_out(id_token: str) -> str:
    return f"{ISSUER}oidc/logout?{urlencode({'id_token_hint': id_token, 'post_logout_redirect_uri': RETURN_URI})}"


# to here


def finished(url: str) -> Tokens:
    answer = dict(parse_qsl(urlsplit(url).query))
    return finish(answer["code"], answer["state"])


play(
    begin=begin,
    finish=finished,
    refresh=lambda kept: refresh(kept["refresh_token"]),
    revoke=revoke,
    sign_out=sign_out,
)
