"""The published keys (RFC 7517 §5): what verifies what we sign, and nothing that client libraries stumble over."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from detent.core.api import Api, SigningAlg
from detent.core.changes import InsertApi
from detent.core.encryption import OWN_ALGS
from detent.endpoints.jwks import JWKS_MAX_AGE
from detent.endpoints.metadata import METADATA_MAX_AGE, WELL_KNOWN
from tests.attacks.forging import parts_of
from tests.serving import CURVE, SCOPES, START, Detent, running


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Detent]:
    """A house with keys of its own, so that no other test has chosen an algorithm here."""
    with running(tmp_path, tmp_path / "keys", "memory") as served:
        yield served


def published(detent: Detent) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = detent.http.get("/.well-known/jwks.json").json()["keys"]
    return keys


def claims_by_published_keys(detent: Detent, token: str, alg: str) -> dict[str, Any]:
    """As a client library reads it that knows nothing of us but the key set."""
    keys = KeySet.import_key_set({"keys": published(detent)})
    return dict(jwt.decode(token, keys, algorithms=[alg]).claims)


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # the name of RFC 8037, which libraries know
@pytest.mark.parametrize(("alg", "kty"), [("ES256", "EC"), ("EdDSA", "OKP")])
def test_wire_rule_2_the_set_is_rsa_only_until_an_api_chooses_otherwise(
    fresh: Detent, alg: SigningAlg, kty: str
) -> None:
    before = fresh.sign_in(scope="openid read")
    assert {(key["kty"], key["alg"], key["use"]) for key in published(fresh)} == {("RSA", "RS256", "sig")}
    assert len({key["kid"] for key in published(fresh)}) == len(published(fresh)) >= 1

    fresh.apply(InsertApi(Api(CURVE, START, "Curve", SCOPES, signing_alg=alg)))
    tokens = fresh.sign_in(scope="openid read", resource=CURVE)

    header, claims = parts_of(tokens["access_token"])
    assert header["alg"] == alg
    assert claims_by_published_keys(fresh, tokens["access_token"], alg) == claims
    assert {key["kty"] for key in published(fresh)} == {"RSA", kty}
    assert fresh.introspect(tokens["access_token"])["active"] is True
    at_userinfo = fresh.http.get("/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert at_userinfo.status_code == 200

    for token in (before["access_token"], before["id_token"], tokens["id_token"], fresh.sign_in()["access_token"]):
        assert parts_of(token)[0]["alg"] == "RS256", "nobody else notices"
        assert claims_by_published_keys(fresh, token, "RS256") == parts_of(token)[1]


@pytest.mark.quick
def test_every_key_of_the_set_says_what_it_is_for(standing: Detent) -> None:
    for key in published(standing):
        assert {"kty", "kid", "use", "alg"} <= key.keys()
        assert key["use"] == ("enc" if key["alg"] in OWN_ALGS else "sig")


@pytest.mark.quick
def test_the_next_key_is_published_before_it_signs(standing: Detent) -> None:
    signing = parts_of(standing.sign_in()["access_token"])[0]["kid"]
    kids = [key["kid"] for key in published(standing) if key["alg"] == "RS256"]
    assert kids[0] == signing, "some clients look no further than the first"
    assert len(kids) == 2


def test_wire_rule_20_public_documents_may_be_kept_for_a_while(standing: Detent) -> None:
    for path, seconds in (("/.well-known/jwks.json", JWKS_MAX_AGE), *((path, METADATA_MAX_AGE) for path in WELL_KNOWN)):
        answer = standing.http.get(path)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == f"public, max-age={seconds}"
        assert 60 <= seconds <= 3600
        assert standing.http.head(path).headers["content-length"] == str(len(answer.content))
        assert json.loads(answer.content)
