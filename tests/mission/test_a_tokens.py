"""Mission A: an OAuth 2 server with JWT access tokens and refresh tokens. One test a row, over HTTP."""

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.serving import API, REPORTS, VAULT, Detent, running

pytestmark = pytest.mark.quick


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


@pytest.mark.counted
def test_a1_an_api_checks_an_access_token_without_the_server_and_without_the_database(detent: Detent) -> None:
    token = detent.sign_in()["access_token"]
    assert detent.secret(token).status_code == 200  # the keys are fetched once
    guard = detent.guards["/secret"]
    known, before = guard.counters, detent.statements()

    answers = [detent.secret(token).status_code for _ in range(20)]

    assert answers == [200] * 20
    assert detent.statements() == before, "no database statement"
    assert guard.counters == replace(known, verified=known.verified + 20), "no call to the server"


@pytest.mark.counted
def test_a2_a_refresh_token_is_checked_at_the_server_and_refused_by_every_api(detent: Detent) -> None:
    tokens = detent.sign_in()
    for path in ("/secret", "/opaque/secret"):
        refused = detent.secret(tokens["refresh_token"], path)
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_token")
    before = detent.statements()
    detent.refreshed("testclient", tokens["refresh_token"])
    after = detent.statements()
    assert after.reads > before.reads, "the server looks the family up"


def test_a3_access_tokens_are_structured_or_opaque_as_each_api_chose(detent: Detent) -> None:
    structured = detent.sign_in(resource=API)["access_token"]
    opaque = detent.sign_in(resource=VAULT)["access_token"]

    assert structured.count(".") == 2
    assert claims_of(structured)["aud"] == [API]
    assert opaque.startswith("dtat_")
    assert "." not in opaque
    assert detent.secret(structured).status_code == 200
    assert detent.secret(opaque, "/opaque/secret").status_code == 200
    assert detent.secret(opaque).status_code == 401, "an opaque token of another API"
    assert detent.secret(structured, "/opaque/secret").status_code == 401


def test_a4_jwt_access_tokens_carry_the_common_fields_of_rfc9068(detent: Detent) -> None:
    token = detent.sign_in()["access_token"]
    header = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
    claims = claims_of(token)

    assert header["typ"] == "at+jwt"
    assert header["alg"] == "RS256"
    assert header["kid"]
    assert claims["iss"] == detent.issuer
    assert claims["sub"] == detent.user("test").subject
    assert claims["aud"] == [API]
    assert claims["iat"] == detent.clock.now()
    assert claims["exp"] == claims["iat"] + 3600
    assert claims["client_id"] == "testclient"
    assert claims["jti"]


def test_a5_any_change_to_a_token_is_noticed(detent: Detent) -> None:
    token = detent.sign_in()["access_token"]
    header, payload, signature = token.split(".")
    richer = claims_of(token) | {"scope": "read write admin"}
    forged = base64.urlsafe_b64encode(json.dumps(richer).encode()).rstrip(b"=").decode()
    changed = [
        f"{header}.{forged}.{signature}",
        f"{header}.{payload}.",
        *(f"{token[:at]}{'A' if token[at] != 'A' else 'B'}{token[at + 1 :]}" for at in range(0, len(token), 37)),
    ]

    answers = {detent.secret(each).status_code for each in changed}

    assert answers == {401}
    assert detent.secret(token).status_code == 200


def test_a7_the_token_endpoint_issues_for_every_grant(detent: Detent) -> None:
    password = detent.token("testclient", grant_type="password", username="test", password="test")
    refresh = detent.refresh("testclient", password.json()["refresh_token"])
    code = detent.redeem("app", detent.code("app"))
    machine = detent.token("machine", grant_type="client_credentials")

    assert [each.status_code for each in (password, refresh, code, machine)] == [200] * 4
    assert "refresh_token" not in machine.json(), "RFC 6749 §4.4.3"
    offered = detent.http.get("/.well-known/openid-configuration").json()["grant_types_supported"]
    device = "urn:ietf:params:oauth:grant-type:device_code"
    assert sorted(offered) == ["authorization_code", "client_credentials", "password", "refresh_token", device]


def test_a7_the_password_grant_is_off_unless_a_client_is_given_it(detent: Detent) -> None:
    answer = detent.token("other", grant_type="password", username="test", password="test")
    assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")


def test_a7_a_server_without_the_feature_does_not_know_the_password_grant(tmp_path: Path, keys_folder: Path) -> None:
    with running(tmp_path, keys_folder, "memory", password_grant=False) as plain:
        answer = plain.token("testclient", grant_type="password", username="test", password="test")
        assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")
        assert "password" not in plain.http.get("/.well-known/openid-configuration").json()["grant_types_supported"]


def test_a8_every_other_endpoint_of_an_api_is_guarded_by_middleware(detent: Detent) -> None:
    assert detent.api.get("/").status_code == 200, "the public page says what it is"
    for path in ("/secret", "/opaque/secret"):
        bare = detent.api.get(path)
        assert bare.status_code == 401
        assert bare.headers["www-authenticate"].startswith("Bearer")
        assert "error=" not in bare.headers["www-authenticate"], "RFC 6750 §3.1: no error code without a token"


def test_a9_the_basic_header_is_base64_of_testclient_secret(detent: Detent) -> None:
    header = "Basic " + base64.b64encode(b"testclient:secret").decode()
    form = {"grant_type": "password", "username": "test", "password": "test"}
    answer = detent.http.post("/oauth/token", data=form, headers={"Authorization": header})
    assert answer.status_code == 200
    wrong = "Basic " + base64.b64encode(b"testclient:wrong").decode()
    refused = detent.http.post("/oauth/token", data=form, headers={"Authorization": wrong})
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


def test_a10_to_a13_the_walk_through(detent: Detent) -> None:
    first = detent.token("testclient", grant_type="password", username="test", password="test").json()  # A10
    assert first["token_type"] == "Bearer"
    assert {"access_token", "refresh_token", "expires_in", "scope"} <= first.keys()

    assert detent.secret(first["access_token"]).status_code == 200  # A11

    detent.clock.advance(first["expires_in"])
    expired = detent.secret(first["access_token"])  # A12
    assert (expired.status_code, expired.json()["error"]) == (401, "invalid_token")
    assert 'error="invalid_token"' in expired.headers["www-authenticate"]

    second = detent.refreshed("testclient", first["refresh_token"])  # A13
    assert detent.secret(second["access_token"]).status_code == 200


def test_a14_a_refresh_token_works_until_it_is_revoked(detent: Detent) -> None:
    token = detent.sign_in()["refresh_token"]
    for _ in range(5):
        detent.clock.advance(3 * 86400)
        token = detent.refreshed("testclient", token)["refresh_token"]
    assert detent.revoke(token).status_code == 200
    refused = detent.refresh("testclient", token)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")


def test_a14_a_refresh_token_works_until_it_expires(detent: Detent) -> None:
    token = detent.sign_in()["refresh_token"]
    detent.clock.advance(14 * 86400 - 1)
    token = detent.refreshed("testclient", token)["refresh_token"]
    detent.clock.advance(14 * 86400)
    assert detent.refresh("testclient", token).json()["error"] == "invalid_grant", "idle for 14 days"


def test_a15_a_refresh_token_belongs_to_one_client_and_a_stranger_harms_nobody(detent: Detent) -> None:
    mine = detent.sign_in()
    stolen = detent.refresh("other", mine["refresh_token"])
    assert (stolen.status_code, stolen.json()["error"]) == (400, "invalid_grant")
    public = detent.refresh("app", mine["refresh_token"])
    assert (public.status_code, public.json()["error"]) == (400, "invalid_grant")

    assert detent.introspect(mine["access_token"])["active"] is True
    assert detent.refresh("testclient", mine["refresh_token"]).status_code == 200


def test_a17_an_id_token_opens_no_api_and_an_access_token_is_no_id_token(detent: Detent) -> None:
    tokens = detent.sign_in(scope="openid profile read")
    assert detent.secret(tokens["id_token"]).status_code == 401
    at_userinfo = detent.http.get("/userinfo", headers={"Authorization": f"Bearer {tokens['id_token']}"})
    assert (at_userinfo.status_code, at_userinfo.json()["error"]) == (401, "invalid_token")
    assert detent.introspect(tokens["id_token"]) == {"active": False}

    assert claims_of(tokens["id_token"])["aud"] == "testclient"
    assert "testclient" not in claims_of(tokens["access_token"])["aud"]
    types = [
        json.loads(base64.urlsafe_b64decode(tokens[kind].split(".")[0] + "==")) for kind in ("id_token", "access_token")
    ]
    assert [each["typ"] for each in types] == ["JWT", "at+jwt"]


@pytest.mark.parametrize("parameter", ["audience", "resource"])
def test_a18_a_refresh_token_opens_a_new_api_within_what_was_granted(detent: Detent, parameter: str) -> None:
    code = detent.code("app", scope="read reports", resource=(API, REPORTS))
    first = detent.redeem("app", code, **{parameter: API}).json()
    assert claims_of(first["access_token"])["aud"] == [API]

    reports = detent.refreshed("app", first["refresh_token"], **{parameter: REPORTS})

    assert claims_of(reports["access_token"])["aud"] == [REPORTS]
    assert set(reports["scope"].split()) == {"read", "reports"}
    beyond = detent.refresh("app", reports["refresh_token"], **{parameter: VAULT})
    assert (beyond.status_code, beyond.json()["error"]) == (400, "invalid_target")
