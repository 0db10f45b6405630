"""The modules of the suite's plan oidcc-dynamic-certification, and of the comprehensive one for clients that register
themselves, each as one test of its name. As there, they send a nonce and no PKCE.
"""

import asyncio
from base64 import urlsafe_b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from detent.keys.file import FileKeys
from detent.resource_server import VerificationKeys
from tests.browsing import request_of
from tests.conformance.conftest import SETTINGS
from tests.conformance.modules import Variant
from tests.conformance.relying_party import NONCE, RelyingParty, ask_to_register, decoded, registered
from tests.published import Published, jwks, key, signed
from tests.serving import REDIRECT_URI, Detent, running

SITE = "https://suite.example/"

Newcomer = Callable[..., RelyingParty]


def test_oidcc_idtoken_rs256(newcomer: Newcomer) -> None:
    newcomer(id_token_signed_response_alg="RS256").tokens()


def test_oidcc_userinfo_rs256(provider: Detent, newcomer: Newcomer) -> None:
    party = newcomer(userinfo_signed_response_alg="RS256")
    tokens = party.tokens()
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    answer = provider.http.get(party.told["userinfo_endpoint"], headers=bearer)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/jwt")
    head, payload, signature = answer.text.split(".")
    header, claims = decoded(head), decoded(payload)
    keys = VerificationKeys.from_jwks(provider.http.get(party.told["jwks_uri"]).json())
    key = keys.select("RS256", header["kid"])
    assert key.verifies("RS256", f"{head}.{payload}".encode(), urlsafe_b64decode(signature + "=="))
    assert (claims["iss"], claims["aud"]) == (party.told["issuer"], party.name)
    assert claims["sub"] == party.id_token(tokens)["sub"]


# Redirect URIs


def test_oidcc_ensure_redirect_uri_in_authorization_request(newcomer: Newcomer) -> None:
    party = newcomer(redirect_uris=[REDIRECT_URI, f"{SITE}cb"])
    assert_page(party, redirect_uri=None)


def test_oidcc_redirect_uri_query_ok(newcomer: Newcomer) -> None:
    uri = f"{SITE}cb?foo=bar"
    party = newcomer(redirect_uris=[uri])
    page = party.sign_in(redirect_uri=uri)
    assert page.location.startswith(f"{uri}&") if party.variant.response_mode is None else party.answer(page, uri)


def test_oidcc_redirect_uri_query_mismatch(newcomer: Newcomer) -> None:
    party = newcomer(redirect_uris=[f"{SITE}cb?foo=bar"])
    for other in (f"{SITE}cb?foo=baz", f"{SITE}cb?foo=bar&x=y", f"{SITE}cb", f"{SITE}cb?"):
        assert_page(party, redirect_uri=other)


def test_oidcc_redirect_uri_query_added(party: RelyingParty) -> None:
    assert_page(party, redirect_uri=f"{REDIRECT_URI}?foo=bar")


def assert_page(party: RelyingParty, **change: Any) -> None:
    """Nobody is sent there."""
    page = party.ask(**change)
    assert (page.status, page.error) == (400, "invalid_request")
    assert "location" not in page.response.headers


def test_oidcc_redirect_uri_regfrag(provider: Detent) -> None:
    answer = ask_to_register(provider, redirect_uris=[f"{SITE}cb#fragment"])
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_redirect_uri")


# What is registered


def test_oidcc_registration_logo_uri(newcomer: Newcomer) -> None:
    party = newcomer(logo_uri=f"{SITE}logo.png")
    assert f'src="{SITE}logo.png"' in party.browser.log_in(party.ask()).text


def test_oidcc_registration_policy_uri(newcomer: Newcomer) -> None:
    party = newcomer(policy_uri=f"{SITE}policy")
    assert f'href="{SITE}policy"' in party.browser.log_in(party.ask()).text


def test_oidcc_registration_tos_uri(newcomer: Newcomer) -> None:
    party = newcomer(tos_uri=f"{SITE}tos")
    assert f'href="{SITE}tos"' in party.browser.log_in(party.ask()).text


def test_oidcc_registration_sector_uri(provider: Detent, newcomer: Newcomer, published: Published) -> None:
    published.body = [REDIRECT_URI]
    party = newcomer(sector_identifier_uri=published.url, subject_type="pairwise")
    assert party.userinfo(party.tokens())["sub"] != provider.user("test").subject


def test_oidcc_registration_sector_bad(provider: Detent, published: Published) -> None:
    published.body = ["https://another.example/callback"]
    refused = ask_to_register(provider, sector_identifier_uri=published.url, subject_type="pairwise")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_client_metadata")


# Keys


def test_oidcc_server_rotate_keys(tmp_path: Path) -> None:
    """The client learns of the new key from the JWKS, and what the old one signed verifies as before."""
    with running(tmp_path, tmp_path / "keys", "memory", **SETTINGS) as provider, registered(provider) as party:
        keys: Any = provider.house.outside.keys
        assert isinstance(keys, FileKeys)
        before = {key["kid"] for key in provider.http.get(party.told["jwks_uri"]).json()["keys"]}
        first = party.tokens()
        asyncio.run(keys.rotate("RS256"))
        provider.clock.advance(2 * 3600)
        after = {key["kid"] for key in provider.http.get(party.told["jwks_uri"]).json()["keys"]}
        assert after - before, "a key that was not there"
        second = party.tokens()
        kids = [decoded(each["id_token"].split(".")[0])["kid"] for each in (first, second)]
        assert kids[0] != kids[1]
        assert set(kids) <= after, "tokens from before the rotation verify too"


BY_KEY = Variant("dynamic", "private_key_jwt")


def test_oidcc_registration_jwks_uri(provider: Detent, published: Published) -> None:
    mine = key("first", "RS256")
    published.body = jwks(mine)
    with registered(provider, BY_KEY, jwks_uri=published.url) as party:
        party.key = mine
        party.tokens()


def test_oidcc_refresh_token_rp_key_rotation(provider: Detent, published: Published) -> None:
    """After a minute the new key at the `jwks_uri` is asked for, because nobody knows its `kid`."""
    first, second = key("first", "RS256"), key("second", "RS256")
    published.body = jwks(first)
    with registered(provider, BY_KEY, jwks_uri=published.url) as party:
        party.key = first
        tokens = party.tokens(scope="openid offline_access", prompt="consent")
        published.body, party.key = jwks(second), second
        provider.clock.advance(60)
        party.checked(party.refresh(tokens["refresh_token"]))


def test_oidcc_ensure_client_assertion_with_iss_aud_succeeds(party: RelyingParty) -> None:
    """rfc7523bis: the issuer as audience is as good as the endpoint; for clients that sign."""
    if party.variant.auth == "private_key_jwt":
        party.audience = party.told["issuer"]
    party.tokens()


# Request objects


def test_oidcc_request_uri_signed_rs256(newcomer: Newcomer, published: Published) -> None:
    """The fragment is part of the name: the suite's is a hash of something else, for it registers before it writes."""
    signer, uri = key("requests", "RS256"), f"{published.url}#{'h' * 43}"
    party = newcomer(request_uris=[uri], request_object_signing_alg="RS256", jwks=jwks(signer))
    party.key = signer
    asked = request_of(party.name, scope="openid", nonce=NONCE, code_challenge=None, code_challenge_method=None)
    told = {"iss": party.name, "aud": party.told["issuer"], "response_mode": party.variant.response_mode, **asked}
    published.body = signed(signer, told).encode()
    answer = party.answer(party.sign_in(request_uri=uri, state=None, nonce=None))
    assert answer["state"] == asked["state"]
    party.checked(party.redeem(answer["code"]), NONCE)


def test_oidcc_request_uri_unsigned(provider: Detent, newcomer: Newcomer) -> None:
    """Skipped by the suite where it is not advertised; and whoever registers it is told no."""
    assert "none" not in newcomer().told["request_object_signing_alg_values_supported"]
    refused = ask_to_register(provider, request_object_signing_alg="none")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_client_metadata")
