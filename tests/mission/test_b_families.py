"""Mission B, the rows that need no browser: the published shape of an access token, and families. Over HTTP."""

import pytest

from tests.mission.test_a_tokens import claims_of
from tests.serving import API, Detent

pytestmark = pytest.mark.quick


def test_b2_an_access_token_has_the_published_shape(detent: Detent) -> None:
    claims = claims_of(detent.sign_in(scope="openid profile read")["access_token"])

    assert claims["iss"] == detent.issuer
    assert claims["iss"].endswith("/")
    assert claims["aud"] == [API, f"{detent.issuer}userinfo"]
    assert claims["azp"] == "testclient"
    assert claims["scope"] == "openid profile read"
    assert {"sub", "exp", "iat"} <= claims.keys()
    assert not {"name", "email", "picture"} & claims.keys(), "B19: no personal claims"


def test_b14_all_descendants_of_the_first_refresh_token_are_one_family(detent: Detent) -> None:
    generations = [detent.sign_in()]
    for _ in range(5):
        generations.append(detent.refreshed("testclient", generations[-1]["refresh_token"]))

    keys = {detent.family(each["refresh_token"]).key for each in generations}
    named = {claims_of(each["access_token"])["authorization_id"] for each in generations}
    assert len(keys) == 1
    assert named == {keys.pop().text}

    assert detent.refresh("testclient", generations[2]["refresh_token"]).json()["error"] == "invalid_grant"

    assert detent.refresh("testclient", generations[-1]["refresh_token"]).json()["error"] == "invalid_grant"
    assert [detent.introspect(each["access_token"]) for each in generations] == [{"active": False}] * 6


def test_b14_another_sign_in_is_another_family(detent: Detent) -> None:
    here, there = detent.sign_in(), detent.sign_in()
    used = detent.refreshed("testclient", here["refresh_token"])
    assert detent.refresh("testclient", here["refresh_token"]).status_code == 400
    assert detent.refresh("testclient", used["refresh_token"]).status_code == 400
    assert detent.refresh("testclient", there["refresh_token"]).status_code == 200
