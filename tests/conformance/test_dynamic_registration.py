"""Modules of the suite's plan oidcc-dynamic-certification about registration, keys and request objects, each as
one test of its name. As there, clients register themselves and send a nonce and no PKCE.
"""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from detent.client_auth.assertion import ASSERTION_TYPE
from detent.testing.server import ServerThread
from detent.web.outbound import LOOPBACK, Outbound
from tests.browsing import request_of
from tests.conformance.relying_party import NONCE, RelyingParty
from tests.published import Published, jwks, key, signed
from tests.serving import REDIRECT_URI, Detent, running

SITE = "https://suite.example/"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory, keys_folder: Any) -> Iterator[Detent]:
    settings: dict[str, Any] = {"registering": "open", "registration_pkce": False, "request_uri": True}
    folder = tmp_path_factory.mktemp("registering")
    with running(folder, keys_folder, "memory", outbound=Outbound(LOOPBACK), **settings) as served:
        yield served


@pytest.fixture
def published() -> Iterator[Published]:
    with ServerThread() as thread:
        document = Published()
        thread.serve(document, document.at)
        yield document


def register(detent: Detent, **metadata: Any) -> httpx.Response:
    endpoint = detent.http.get("/.well-known/openid-configuration").json()["registration_endpoint"]
    return detent.http.post(endpoint, json={"redirect_uris": [REDIRECT_URI], "client_name": "suite", **metadata})


def registered(detent: Detent, **metadata: Any) -> RelyingParty:
    answer = register(detent, **metadata)
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert {name: told[name] for name in metadata} == metadata, "all of it is echoed"
    return RelyingParty(detent, told["client_id"], secret=told.get("client_secret", ""))


def test_oidcc_server(provider: Detent) -> None:
    with registered(provider) as party:
        party.tokens()


def test_oidcc_registration_logo_uri(provider: Detent) -> None:
    with registered(provider, logo_uri=f"{SITE}logo.png") as party:
        assert f'src="{SITE}logo.png"' in party.browser.log_in(party.ask()).text


@pytest.mark.parametrize("member", ["policy_uri", "tos_uri"])
def test_oidcc_registration_policy_uri_and_tos_uri(provider: Detent, member: str) -> None:
    with registered(provider, **{member: f"{SITE}{member}"}) as party:
        assert f'href="{SITE}{member}"' in party.browser.log_in(party.ask()).text


def by_key(party: RelyingParty, signer: Any, jti: str, form: dict[str, str]) -> httpx.Response:
    """With an assertion for the token endpoint, as the suite makes it."""
    now = party.detent.clock.now()
    said = {"iss": party.name, "sub": party.name, "aud": party.told["token_endpoint"], "jti": jti, "exp": now + 60}
    proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed(signer, said)}
    return party.detent.http.post(party.told["token_endpoint"], data=form | proof)


def test_oidcc_registration_jwks_uri_and_refresh_token_rp_key_rotation(provider: Detent, published: Published) -> None:
    first, second = key("first", "RS256"), key("second", "RS256")
    published.body = jwks(first)
    metadata = {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": published.url}
    with registered(provider, **metadata) as party:
        code = party.code(scope="openid offline_access")
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URI}
        tokens = party.checked(by_key(party, first, "1", form), NONCE)
        published.body = jwks(second)
        provider.clock.advance(60)
        renewing = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        party.checked(by_key(party, second, "2", renewing))


def test_oidcc_request_uri_signed_rs256(provider: Detent, published: Published) -> None:
    signer = key("mine", "RS256")
    metadata = {"jwks": jwks(signer), "request_uris": [published.url], "request_object_signing_alg": "RS256"}
    with registered(provider, **metadata) as party:
        asked = request_of(party.name, scope="openid", nonce=NONCE, code_challenge=None, code_challenge_method=None)
        published.body = signed(signer, {"iss": party.name, "aud": provider.issuer, **asked}).encode()
        assert "code" in party.answer(party.sign_in(request_uri=published.url))


def test_oidcc_request_uri_unsigned(provider: Detent) -> None:
    """Skipped by the suite where it is not advertised; and whoever asks for it is told no."""
    with RelyingParty(provider, "anybody") as party:
        assert "none" not in party.told["request_object_signing_alg_values_supported"]
    assert register(provider, request_object_signing_alg="none").json()["error"] == "invalid_client_metadata"


def test_oidcc_redirect_uri_regfrag(provider: Detent) -> None:
    answer = register(provider, redirect_uris=[f"{SITE}cb#fragment"])
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_redirect_uri")


def test_oidcc_redirect_uri_query(provider: Detent) -> None:
    """OK: as registered, with its query; mismatch and added: a page, and nobody is sent there."""
    with registered(provider, redirect_uris=[f"{SITE}cb?foo=bar"]) as party:
        assert party.answer(party.sign_in(redirect_uri=f"{SITE}cb?foo=bar"))["foo"] == "bar"
        for other in (f"{SITE}cb?foo=baz", f"{SITE}cb?foo=bar&x=y", f"{SITE}cb", f"{SITE}cb?"):
            assert party.ask(redirect_uri=other).status == 400


def test_oidcc_ensure_redirect_uri_in_authorization_request(provider: Detent) -> None:
    with registered(provider, redirect_uris=[REDIRECT_URI, f"{SITE}cb"]) as party:
        assert party.ask(redirect_uri=None).status == 400


def test_oidcc_client_assertion_with_iss_aud(provider: Detent) -> None:
    """rfc7523bis: the issuer as audience is as good as the endpoint."""
    signer = key("mine", "RS256")
    with registered(provider, token_endpoint_auth_method="private_key_jwt", jwks=jwks(signer)) as party:
        now = provider.clock.now()
        said = {"iss": party.name, "sub": party.name, "aud": party.told["issuer"], "jti": "i", "exp": now + 60}
        proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed(signer, said)}
        form = {"grant_type": "authorization_code", "code": party.code(), "redirect_uri": REDIRECT_URI, **proof}
        party.checked(provider.http.post("/oauth/token", data=form), NONCE)
