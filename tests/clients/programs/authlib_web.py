"""A web app with a secret, on Authlib. It refreshes by itself when it uses a token that is nearly over."""

import os

from play import Tokens, play

ISSUER, CLIENT_ID, CLIENT_SECRET = (os.environ[name] for name in ("ISSUER", "CLIENT_ID", "CLIENT_SECRET"))

# the page shows from here
from typing import Any
from urllib.parse import urlencode

import httpx
from authlib.common.security import generate_token
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet

REDIRECT_URI = "http://127.0.0.1:7777/callback"
RETURN_URI = "http://127.0.0.1:7777/signed-out"

server = httpx.get(f"{ISSUER}.well-known/openid-configuration").json()
session: dict[str, Any] = {}  # of the person: keep it where your framework does


def save(token: dict[str, Any], refresh_token: str | None = None, access_token: str | None = None) -> None:
    session["token"] = token  # in place of the old one


def client() -> OAuth2Client:
    return OAuth2Client(
        CLIENT_ID,
        CLIENT_SECRET,
        token_endpoint_auth_method="client_secret_basic",
        scope="openid profile email read offline_access",
        redirect_uri=REDIRECT_URI,
        code_challenge_method="S256",
        token_endpoint=server["token_endpoint"],  # with update_token: it refreshes by itself
        update_token=save,
        token=session.get("token"),
    )


def begin() -> str:
    session.update(verifier=generate_token(48), nonce=generate_token(20))
    verifier, nonce = session["verifier"], session["nonce"]
    url, session["state"] = client().create_authorization_url(
        server["authorization_endpoint"], code_verifier=verifier, nonce=nonce
    )
    return str(url)


def finish(url: str) -> dict[str, Any]:
    tokens = client().fetch_token(authorization_response=url, state=session["state"], code_verifier=session["verifier"])
    keys = KeySet.import_key_set(httpx.get(server["jwks_uri"]).json())
    id_token = jwt.decode(tokens["id_token"], keys, algorithms=["RS256"])
    options = {"iss": {"value": server["issuer"]}, "aud": {"value": CLIENT_ID}}
    expected = {"nonce": session["nonce"], "client_id": CLIENT_ID}
    CodeIDToken(id_token.claims, id_token.header, options, expected).validate()
    save(tokens)
    return tokens


def person() -> dict[str, Any]:
    return client().get(server["userinfo_endpoint"]).json()  # refreshes first where that is due


def revoke(refresh_token: str) -> None:
    client().revoke_token(server["revocation_endpoint"], token=refresh_token)


def sign_out(id_token: str) -> str:
    query = urlencode({"id_token_hint": id_token, "post_logout_redirect_uri": RETURN_URI})
    return f"{server['end_session_endpoint']}?{query}"


# to here


def refresh(tokens: Tokens) -> Tokens:
    """As it happens an hour later."""
    save({**tokens, "expires_at": 0})
    assert person()["email"] == "test@example.com"
    return session["token"]


play(begin=begin, finish=finish, refresh=refresh, revoke=revoke, sign_out=sign_out)
