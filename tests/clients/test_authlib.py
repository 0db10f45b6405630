"""Unmodified Authlib as a confidential web app: signs in by code and PKCE, refreshes five times, signs out.

The person in front of it is a browser without scripts (tests/browsing.py).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from authlib.common.security import generate_token
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet

from detent.core.policy import Overrides
from tests.browsing import Browser
from tests.fixtures import keys_folder
from tests.serving import REDIRECT_URI, RETURN_URI, SECRET, Detent, client, running

__all__ = ["keys_folder"]
SCOPE = "openid profile email read offline_access"


@pytest.fixture(params=["not rotating", "rotating"])
def house(request: pytest.FixtureRequest, tmp_path: Path, keys_folder: Path) -> Iterator[Detent]:
    from detent.core.changes import InsertClient

    with running(tmp_path, keys_folder) as served:
        keys: Any = served.house.outside.keys
        rotating = Overrides(rotating=request.param == "rotating")
        served.apply(InsertClient(client("authlib", "web", keys, overrides=rotating)))
        yield served


def test_authlib_signs_in_refreshes_five_times_and_signs_out(house: Detent) -> None:
    told = house.http.get("/.well-known/openid-configuration").json()
    verifier, nonce = generate_token(48), generate_token(20)
    app = OAuth2Client(
        "authlib", SECRET, scope=SCOPE, redirect_uri=REDIRECT_URI, code_challenge_method="S256",
        token_endpoint_auth_method="client_secret_basic",
    )  # fmt: skip
    with app, Browser(house) as browser:
        url, state = app.create_authorization_url(told["authorization_endpoint"], code_verifier=verifier, nonce=nonce)
        landed = browser.allow(browser.log_in(browser.open(url)))
        tokens = app.fetch_token(
            told["token_endpoint"], authorization_response=landed.location, state=state, code_verifier=verifier
        )
        keys = KeySet.import_key_set(house.http.get(told["jwks_uri"]).json())
        token = jwt.decode(tokens["id_token"], keys, algorithms=["RS256"])
        options = {"iss": {"value": told["issuer"]}, "aud": {"value": "authlib"}}
        claims = CodeIDToken(token.claims, token.header, options, {"nonce": nonce, "client_id": "authlib"})
        claims.validate(now=house.clock.now())
        assert app.get(told["userinfo_endpoint"]).json()["email"] == "test@example.com"

        for _ in range(5):
            house.clock.advance(61)
            before = tokens
            tokens = app.refresh_token(told["token_endpoint"], refresh_token=tokens["refresh_token"])
            assert tokens["access_token"] != before["access_token"]
            assert house.secret(tokens["access_token"]).status_code == 200

        assert app.revoke_token(told["revocation_endpoint"], token=tokens["refresh_token"]).status_code == 200
        assert house.refresh("authlib", tokens["refresh_token"]).status_code in (400, 401)
        leaving = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": RETURN_URI}
        assert browser.open(f"{told['end_session_endpoint']}?{urlencode(leaving)}").location == RETURN_URI
        assert browser.authorize(prompt="none").answer["error"] == "login_required"
