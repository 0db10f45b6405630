"""How a client shows who it is at the token, revocation and introspection endpoints (RFC 6749 §2.3, RFC 7591 §2)."""

import base64
import re
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import msgspec
import pytest

from detent.client_auth.secret import new_secret, secret_digest
from detent.core.changes import InsertClient, ReplaceClient
from detent.core.ids import Instant
from detent.system import SystemEntropy
from tests.attacks.outcomes import assert_refused, assert_unharmed, signed_in
from tests.serving import SECRET, START, Detent, client

pytestmark = pytest.mark.quick

DOORS = ("/oauth/token", "/oauth/revoke", "/oauth/introspect")
FORM = {"grant_type": "client_credentials", "token": "x"}
ODD_ID, ODD_SECRET = "odd/client+id%20&=", "colon:plus+percent%41 äöü🎈&="


def basic(credentials: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(credentials.encode()).decode()}


def registered(detent: Detent, name: str, *secrets: str, **more: Any) -> None:
    keys: Any = detent.house.outside.keys
    stored = tuple(secret_digest(secret, keys, START) for secret in secrets)
    detent.apply(InsertClient(msgspec.structs.replace(client(name, "machine", keys), secrets=stored, **more)))


@pytest.mark.parametrize("path", DOORS)
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_rfc6749_2_3_1_a_client_with_a_secret_may_use_basic_and_post(detent: Detent, path: str, method: str) -> None:
    """Whichever of the two it is registered with: real libraries differ."""
    registered(detent, "either", SECRET, token_endpoint_auth_method=method)
    by_basic = detent.http.post(path, data=FORM, auth=("either", SECRET))
    by_post = detent.http.post(path, data={**FORM, "client_id": "either", "client_secret": SECRET})
    by_json = detent.http.post(path, json={**FORM, "client_id": "either", "client_secret": SECRET})
    assert [each.status_code for each in (by_basic, by_post, by_json)] == [200] * 3


def test_attack_a3_rfc6749_2_3_1_basic_is_form_encoded_before_it_is_joined(detent: Detent) -> None:
    registered(detent, ODD_ID, ODD_SECRET)
    for encode in (quote_plus, lambda text: quote(text, safe="")):
        answer = detent.http.post("/oauth/token", data=FORM, headers=basic(f"{encode(ODD_ID)}:{encode(ODD_SECRET)}"))
        assert answer.status_code == 200, answer.text
    unencoded = detent.http.post("/oauth/token", data=FORM, headers=basic(f"{ODD_ID}:{ODD_SECRET}"))
    assert_refused(unencoded, "invalid_client", 401)


def test_attack_a3_a_basic_header_of_a_client_that_does_not_encode_is_read_as_it_is(detent: Detent) -> None:
    registered(detent, "plain", "50%off:and:colons")
    assert detent.http.post("/oauth/token", data=FORM, headers=basic("plain:50%off:and:colons")).status_code == 200


@pytest.mark.parametrize("scheme", ["basic", "BASIC", "bAsIc"])
def test_attack_a3_rfc9110_11_1_the_scheme_has_no_case(standing: Detent, scheme: str) -> None:
    header = basic(f"machine:{SECRET}")["Authorization"].replace("Basic", scheme)
    assert standing.http.post("/oauth/token", data=FORM, headers={"Authorization": header}).status_code == 200


@pytest.mark.parametrize("path", DOORS)
def test_rfc6749_2_3_two_ways_or_two_clients_in_one_request_are_refused(standing: Detent, path: str) -> None:
    mine = signed_in(standing, "testclient")
    form = {"grant_type": "refresh_token", "refresh_token": mine["refresh_token"], "token": mine["refresh_token"]}
    auth = ("testclient", SECRET)
    for both in (
        {"client_id": "testclient", "client_secret": SECRET},
        {"client_id": "testclient", "client_secret": "wrong"},
        {"client_id": "other"},
        {"client_id": "other", "client_secret": SECRET},
        {"client_id": "nobody"},
    ):
        assert_refused(standing.http.post(path, data={**form, **both}, auth=auth), "invalid_request")
    two_headers: list[tuple[str, str]] = [*basic(f"testclient:{SECRET}").items(), *basic(f"other:{SECRET}").items()]
    assert_refused(standing.http.post(path, data=form, headers=two_headers), "invalid_client", 401)
    assert_unharmed(standing, "testclient", [mine])
    assert standing.http.post(
        path, data={"token": "x", **FORM, "client_id": "machine"}, auth=("machine", SECRET)
    ).is_success


REFUSED: dict[str, dict[str, Any]] = {
    "nothing": {},
    "a wrong secret": {"auth": ("machine", "wrong")},
    "a wrong secret, post": {"data": {"client_id": "machine", "client_secret": "wrong"}},
    "an empty secret": {"auth": ("machine", "")},
    "an empty secret, post": {"data": {"client_id": "machine", "client_secret": ""}},
    "no secret": {"data": {"client_id": "machine"}},
    "a secret without a name": {"data": {"client_secret": SECRET}},
    "an unknown client": {"auth": ("nobody", SECRET)},
    "an unknown public client": {"data": {"client_id": "nobody"}},
    "a public client with a secret": {"auth": ("app", SECRET)},
    "a public client with a secret, post": {"data": {"client_id": "app", "client_secret": SECRET}},
    "another case": {"auth": ("Machine", SECRET)},
    "a blank": {"auth": ("machine ", SECRET)},
    "another scheme": {"headers": {"Authorization": "Digest username=machine"}},
    "no base64": {"headers": {"Authorization": "Basic machine:secret"}},
}


@pytest.mark.parametrize("why", REFUSED)
@pytest.mark.parametrize("path", DOORS)
def test_attack_a2_a3_rfc6749_5_2_a_client_that_is_not_proved_is_401_with_a_challenge(
    standing: Detent, path: str, why: str
) -> None:
    request = REFUSED[why]
    answer = standing.http.post(path, **(request | {"data": {**FORM, **request.get("data", {})}}))
    assert_refused(answer, "invalid_client", 401)
    assert answer.headers["www-authenticate"] == 'Basic realm="detent", charset="UTF-8"'


def test_attack_a4_every_unproved_client_is_told_the_same(standing: Detent) -> None:
    def told(answer: httpx.Response) -> str:
        body = answer.json()
        return str(body["error_description"]).replace(body["support_id"], "")

    answers = [
        standing.http.post("/oauth/token", data=FORM, auth=auth)
        for auth in (("machine", "wrong"), ("nobody", SECRET), ("app", SECRET), ("nobody", "wrong"))
    ]
    assert len({told(answer) for answer in answers}) == 1


def test_a_disabled_client_and_an_expired_secret_prove_nothing(detent: Detent) -> None:
    keys: Any = detent.house.outside.keys
    machine = detent.thread.call(detent.store.client("machine"))
    dated = secret_digest("dated", keys, START, Instant(START + 60))
    machine = msgspec.structs.replace(machine, secrets=(*machine.secrets, dated), version=2)
    detent.apply(ReplaceClient(machine))
    assert detent.http.post("/oauth/token", data=FORM, auth=("machine", "dated")).status_code == 200, "two at once"
    assert detent.http.post("/oauth/token", data=FORM, auth=("machine", SECRET)).status_code == 200
    detent.clock.advance(60)
    assert_refused(detent.http.post("/oauth/token", data=FORM, auth=("machine", "dated")), "invalid_client", 401)
    assert detent.http.post("/oauth/token", data=FORM, auth=("machine", SECRET)).status_code == 200

    detent.apply(ReplaceClient(msgspec.structs.replace(machine, enabled=False, version=3)))
    assert_refused(detent.http.post("/oauth/token", data=FORM, auth=("machine", SECRET)), "invalid_client", 401)


def test_secrets_are_made_of_characters_that_no_header_escapes() -> None:
    made = {new_secret(SystemEntropy()) for _ in range(100)}
    assert len(made) == 100
    for secret in made:
        assert re.fullmatch(r"dtcs_[A-Za-z0-9_-]{43}", secret), "256 bits, URL-safe"


@pytest.mark.parametrize("name", ["app", "cli", "spa"])
def test_rfc7591_2_a_public_client_names_itself_and_that_is_all(standing: Detent, name: str) -> None:
    mine = signed_in(standing, name)
    renewed = standing.http.post(
        "/oauth/token",
        data={"grant_type": "refresh_token", "refresh_token": mine["refresh_token"], "client_id": name},
    )
    assert renewed.status_code == 200
    unnamed = {"grant_type": "refresh_token", "refresh_token": renewed.json()["refresh_token"]}
    assert_refused(standing.http.post("/oauth/token", data=unnamed), "invalid_client", 401)
