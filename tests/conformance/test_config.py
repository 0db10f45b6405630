"""The modules of the suite's plan oidcc-config-certification, each as one test of its name."""

import re

import pytest

from detent.core.people import CLAIMS_OF_SCOPE
from tests.conformance.relying_party import RelyingParty
from tests.serving import Detent

pytestmark = pytest.mark.quick

PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


def test_oidcc_discovery_endpoint_verification(provider: Detent, party: RelyingParty) -> None:
    """Failed by choice in plans for clients that register themselves: there it wants what OAuth 2.1 dropped, the
    response type `id_token` and the grant `implicit` (docs/decisions/0037).
    """
    told = party.told
    answer = provider.http.get("/.well-known/openid-configuration")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert told["issuer"] == provider.issuer
    assert all(value.startswith(provider.issuer) for name, value in told.items() if name.endswith("_endpoint"))
    assert told["response_types_supported"] == ["code"]
    assert "implicit" not in told["grant_types_supported"]
    assert told["subject_types_supported"]
    assert "RS256" in told["id_token_signing_alg_values_supported"]
    assert "none" not in str(told["id_token_signing_alg_values_supported"])
    assert {"authorization_code", "refresh_token"} <= set(told["grant_types_supported"])
    assert {"openid", *CLAIMS_OF_SCOPE} <= set(told["scopes_supported"])
    assert "sub" in told["claims_supported"]
    assert isinstance(told["code_challenge_methods_supported"], list)
    assert all(re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]+)*", locale) for locale in told["ui_locales_supported"])
    keys = provider.http.get(told["jwks_uri"]).json()["keys"]
    assert len({key["kid"] for key in keys}) == len(keys)
    assert not any(PRIVATE & key.keys() or key["kty"] == "oct" for key in keys)
    assert {key["use"] for key in keys} <= {"sig", "enc"}
