"""A web app with a secret, on requests-oauthlib. It refreshes by itself when it uses a token that is over."""

import os

from play import Tokens, play

ISSUER, CLIENT_ID, CLIENT_SECRET = (os.environ[name] for name in ("ISSUER", "CLIENT_ID", "CLIENT_SECRET"))

# the page shows from here
from typing import Any
from urllib.parse import urlencode

import requests
from oauthlib.oauth2 import WebApplicationClient
from requests_oauthlib import OAuth2Session

REDIRECT_URI = "https://127.0.0.1:7777/callback"
RETURN_URI = "http://127.0.0.1:7777/signed-out"
SCOPE = ["openid", "profile", "email", "read", "offline_access"]

server = requests.get(f"{ISSUER}.well-known/openid-configuration", timeout=10).json()
session: dict[str, Any] = {}  # of the person: keep it where your framework does


def save(token: dict[str, Any]) -> None:
    session["token"] = token  # in place of the old one


def client() -> OAuth2Session:
    return OAuth2Session(
        CLIENT_ID,
        redirect_uri=REDIRECT_URI,
        scope=SCOPE,
        state=session.get("state"),
        token=session.get("token"),
        auto_refresh_url=server["token_endpoint"],
        auto_refresh_kwargs={"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET},
        token_updater=save,
    )


def begin() -> str:
    session.clear()
    pkce = WebApplicationClient(CLIENT_ID)
    session["verifier"] = pkce.create_code_verifier(64)
    challenge = pkce.create_code_challenge(session["verifier"], "S256")
    url, session["state"] = client().authorization_url(
        server["authorization_endpoint"], code_challenge=challenge, code_challenge_method="S256"
    )
    return url


def finish(url: str) -> dict[str, Any]:
    tokens = client().fetch_token(
        server["token_endpoint"],
        authorization_response=url,
        code_verifier=session["verifier"],
        client_secret=CLIENT_SECRET,
    )
    save(tokens)
    return tokens


def person() -> dict[str, Any]:
    return client().get(server["userinfo_endpoint"]).json()  # refreshes first where that is due


def revoke(refresh_token: str) -> None:
    form, secret = {"token": refresh_token}, (CLIENT_ID, CLIENT_SECRET)
    requests.post(server["revocation_endpoint"], form, auth=secret, timeout=10).raise_for_status()


def sign_out(id_token: str) -> str:
    query = urlencode({"id_token_hint": id_token, "post_logout_redirect_uri": RETURN_URI})
    return f"{server['end_session_endpoint']}?{query}"


# to here


def refresh(tokens: Tokens) -> Tokens:
    """As it happens an hour later."""
    save({**tokens, "expires_at": 1})
    assert person()["email"] == "test@example.com"
    return session["token"]


play(begin=begin, finish=finish, refresh=refresh, revoke=revoke, sign_out=sign_out)
