"""Modules of the suite's plan oidcc-dynamic-certification that are about tokens, userinfo and sectors, each as one
test of its name; those about registration, keys and request objects are in test_dynamic_registration.py.

Clients that register themselves cannot do without PKCE here, so these send it.
"""

import asyncio
import json
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from detent.core.authorization import code_challenge_s256
from detent.keys.file import FileKeys
from detent.resource_server import VerificationKeys
from detent.web.outbound import LOOPBACK, Outbound
from tests.conformance.relying_party import NONCE, RelyingParty
from tests.published import Published
from tests.serving import REDIRECT_URI, VERIFIER, Detent, running


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Detent]:
    folder = tmp_path_factory.mktemp("dynamic")
    keys = tmp_path_factory.mktemp("rotating") / "keys"  # a rotation is nobody else's business
    with running(folder, keys, "memory", registering="open", outbound=Outbound(LOOPBACK)) as served:
        yield served


def register(detent: Detent, **metadata: Any) -> httpx.Response:
    endpoint = detent.http.get("/.well-known/openid-configuration").json()["registration_endpoint"]
    return detent.http.post(endpoint, json={"redirect_uris": [REDIRECT_URI], "client_name": "suite", **metadata})


def registered(detent: Detent, **metadata: Any) -> RelyingParty:
    answer = register(detent, **metadata)
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert {name: told[name] for name in metadata} == metadata, "all of it is echoed"
    return RelyingParty(detent, told["client_id"], secret=told["client_secret"])


def tokens_of(party: RelyingParty) -> dict[str, Any]:
    code = party.code(code_challenge=code_challenge_s256(VERIFIER), code_challenge_method="S256")
    return party.checked(party.redeem(code, code_verifier=VERIFIER), NONCE)


def test_oidcc_idtoken_rs256(provider: Detent) -> None:
    with registered(provider, id_token_signed_response_alg="RS256") as party:
        tokens_of(party)


def test_oidcc_idtoken_unsigned(provider: Detent) -> None:
    """Skipped by the suite where it is not advertised; and whoever asks for it is told no."""
    with RelyingParty(provider, "anybody") as party:
        assert "none" not in party.told["id_token_signing_alg_values_supported"]
    refused = register(provider, id_token_signed_response_alg="none")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_client_metadata")


def test_oidcc_userinfo_rs256(provider: Detent) -> None:
    with registered(provider, userinfo_signed_response_alg="RS256") as party:
        tokens = tokens_of(party)
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        answer = provider.http.get(party.told["userinfo_endpoint"], headers=bearer)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/jwt")
        head, payload, signature = answer.text.split(".")
        header, claims = (json.loads(urlsafe_b64decode(part + "==")) for part in (head, payload))
        keys = VerificationKeys.from_jwks(provider.http.get(party.told["jwks_uri"]).json())
        key = keys.select("RS256", header["kid"])
        assert key.verifies("RS256", f"{head}.{payload}".encode(), urlsafe_b64decode(signature + "=="))
        assert (claims["iss"], claims["aud"]) == (party.told["issuer"], party.name)
        assert claims["sub"] == party.id_token(tokens)["sub"]


def test_oidcc_registration_sector_uri(provider: Detent) -> None:
    document = Published([REDIRECT_URI])
    provider.thread.serve(document, document.at)
    with registered(provider, sector_identifier_uri=document.url, subject_type="pairwise") as party:
        tokens = tokens_of(party)
        assert party.userinfo(tokens)["sub"] != provider.user("test").subject


def test_oidcc_registration_sector_bad(provider: Detent) -> None:
    document = Published(["https://another.example/callback"])
    provider.thread.serve(document, document.at)
    refused = register(provider, sector_identifier_uri=document.url, subject_type="pairwise")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_client_metadata")


def test_oidcc_server_rotate_keys(provider: Detent) -> None:
    keys: Any = provider.house.outside.keys
    assert isinstance(keys, FileKeys)
    with registered(provider) as party:
        before = {key["kid"] for key in provider.http.get(party.told["jwks_uri"]).json()["keys"]}
        first = tokens_of(party)
        asyncio.run(keys.rotate("RS256"))
        provider.clock.advance(2 * 3600)
        after = {key["kid"] for key in provider.http.get(party.told["jwks_uri"]).json()["keys"]}
        assert after - before, "a key that was not there"
        second = tokens_of(party)
        kids = [json.loads(urlsafe_b64decode(each["id_token"].split(".")[0] + "=="))["kid"] for each in (first, second)]
        assert kids[0] != kids[1]
        assert set(kids) <= after, "tokens from before the rotation verify too"
