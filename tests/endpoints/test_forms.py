"""How parameters are read at the token, revocation and introspection endpoints (RFC 6749 §3.1, §3.2, Appendix B)."""

import json
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from tests.attacks.outcomes import assert_refused, assert_unharmed, signed_in
from tests.serving import API, REPORTS, SECRET, VAULT, Detent

FORM, JSON = "application/x-www-form-urlencoded", "application/json"
KINDS = [FORM, JSON]
PASSWORD = {"grant_type": "password", "username": "test", "password": "test"}


def posted(
    detent: Detent, path: str, pairs: list[tuple[str, Any]], kind: str, client: str = "testclient", query: str = ""
) -> httpx.Response:
    """The pairs as a form or as a JSON object, repeated names and all."""
    members = ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in pairs)
    body = f"{{{members}}}" if kind == JSON else urlencode([(name, value or "") for name, value in pairs])
    return detent.http.post(
        f"{path}{query}", content=body.encode(), headers={"Content-Type": kind}, auth=(client, SECRET)
    )


@pytest.mark.quick
@pytest.mark.parametrize("kind", [*KINDS, "Application/JSON; charset=UTF-8", f"{FORM.upper()};charset=utf-8"])
def test_token_revocation_and_introspection_take_form_and_json_alike(standing: Detent, kind: str) -> None:
    sort = JSON if "json" in kind.lower() else FORM

    def ask(path: str, **members: str) -> httpx.Response:
        content = json.dumps(members) if sort == JSON else urlencode(members)
        return standing.http.post(path, content=content, headers={"Content-Type": kind}, auth=("testclient", SECRET))

    tokens = ask("/oauth/token", **PASSWORD, scope="read write").json()
    assert tokens["scope"] == "read write"
    renewed = ask("/oauth/token", grant_type="refresh_token", refresh_token=tokens["refresh_token"]).json()
    assert ask("/oauth/introspect", token=renewed["access_token"]).json()["active"] is True
    assert ask("/oauth/revoke", token=renewed["refresh_token"]).status_code == 200
    assert ask("/oauth/introspect", token=renewed["access_token"]).json() == {"active": False}


def test_json_holds_the_clients_secret_as_a_form_does(standing: Detent) -> None:
    answer = standing.http.post("/oauth/token", json={**PASSWORD, "client_id": "testclient", "client_secret": SECRET})
    assert answer.status_code == 200


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("empty", ["", None])
def test_rfc6749_3_1_an_empty_parameter_is_an_absent_one(standing: Detent, kind: str, empty: str | None) -> None:
    optional = ["scope", "resource", "audience", "client_id", "client_secret", "retry_key", "code", "nothing"]
    answer = posted(standing, "/oauth/token", [*PASSWORD.items(), *((name, empty) for name in optional)], kind)
    assert answer.status_code == 200, answer.text
    assert answer.json()["scope"] == standing.sign_in()["scope"]

    for name in ("refresh_token", "grant_type"):
        form = {"grant_type": "refresh_token", "refresh_token": answer.json()["refresh_token"]} | {name: empty}
        refused = posted(standing, "/oauth/token", list(form.items()), kind)
        assert_refused(refused, "invalid_request")
        assert f"The parameter {name} is missing." in refused.json()["error_description"]
    for path in ("/oauth/revoke", "/oauth/introspect"):
        assert_refused(posted(standing, path, [("token", empty)], kind), "invalid_request")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["grant_type", "refresh_token", "scope", "client_id", "retry_key", "token", "unknown"])
def test_rfc6749_3_1_a_repeated_parameter_is_refused_and_spends_nothing(standing: Detent, name: str, kind: str) -> None:
    mine = signed_in(standing, "testclient")
    form = {"grant_type": "refresh_token", "refresh_token": mine["refresh_token"], "client_id": "testclient"}
    value = form.get(name, "read")
    for first, second in ((value, value), (value, "x"), ("x", value), ("", value), (value, "")):
        pairs = [(key, given) for key, given in form.items() if key != name] + [(name, first), (name, second)]
        for path in ("/oauth/token", "/oauth/revoke", "/oauth/introspect"):
            refused = posted(standing, path, pairs, kind)
            assert_refused(refused, "invalid_request")
            assert f"The parameter {name} is repeated." in refused.json()["error_description"]
    assert_unharmed(standing, "testclient", [mine])


@pytest.mark.parametrize("kind", KINDS)
def test_rfc8707_2_a_resource_may_be_named_more_than_once(standing: Detent, kind: str) -> None:
    for pairs in (
        [("resource", API), ("resource", REPORTS)],
        [("resource", API), ("audience", REPORTS)],
        [("audience", REPORTS), ("audience", API), ("resource", API)],
    ):
        answer = posted(standing, "/oauth/token", [*PASSWORD.items(), *pairs], kind)
        assert answer.status_code == 200, answer.text
        assert set(standing.introspect(answer.json()["access_token"])["aud"]) == {API, REPORTS}


def test_rfc8707_2_a_json_resource_may_be_an_array(standing: Detent) -> None:
    for value in ([API, REPORTS], [REPORTS, API, API], [API, None, "", REPORTS]):
        answer = standing.http.post("/oauth/token", json={**PASSWORD, "resource": value}, auth=("testclient", SECRET))
        assert set(standing.introspect(answer.json()["access_token"])["aud"]) == {API, REPORTS}
    empty = standing.http.post("/oauth/token", json={**PASSWORD, "resource": []}, auth=("testclient", SECRET))
    assert standing.introspect(empty.json()["access_token"])["aud"] == [API], "none at all: the client's default"


@pytest.mark.parametrize("parameter", ["resource", "audience"])
def test_audience_is_another_name_for_resource(standing: Detent, parameter: str) -> None:
    answer = standing.token("testclient", **PASSWORD, **{parameter: VAULT})
    assert answer.json()["access_token"].startswith("dtat_")
    unknown = standing.token("testclient", **PASSWORD, **{parameter: "https://unknown.example/"})
    assert_refused(unknown, "invalid_target")


@pytest.mark.quick
@pytest.mark.parametrize("kind", KINDS)
def test_rfc6749_3_2_unknown_parameters_are_ignored_and_names_have_one_case(standing: Detent, kind: str) -> None:
    unknown = [("foo", "bar"), ("Scope", "nonsense"), ("SCOPE", "x"), ("grant-type", "x"), ("a.b", "c"), ("é", "ü")]
    answer = posted(standing, "/oauth/token", [*unknown, *PASSWORD.items(), ("scope", "read")], kind)
    assert answer.status_code == 200, answer.text
    assert answer.json()["scope"] == "read"


@pytest.mark.quick
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["grant_type", "scope", "resource", "audience", "username", "client_id"])
def test_rfc6749_3_2_a_parameter_in_body_and_url_is_refused(standing: Detent, name: str, kind: str) -> None:
    values = {**PASSWORD, "scope": "read", "resource": API, "audience": API, "client_id": "testclient"}
    pairs = [*PASSWORD.items()] if name in PASSWORD else [*PASSWORD.items(), (name, values[name])]
    query = "?" + urlencode({name: values[name]})
    assert_refused(posted(standing, "/oauth/token", pairs, kind, query=query), "invalid_request")
    harmless = posted(standing, "/oauth/token", pairs, kind, query="?utm_source=x")
    assert harmless.status_code == 200, harmless.text


def test_a_grant_type_that_is_missing_and_one_that_is_unknown_are_told_apart(standing: Detent) -> None:
    assert_refused(standing.token("testclient", scope="read"), "invalid_request")
    for unknown in ("Password", "implicit", "password ", "urn:ietf:params:oauth:grant-type:nothing"):
        refused = standing.token("testclient", **(PASSWORD | {"grant_type": unknown}))
        assert_refused(refused, "unsupported_grant_type")
        assert "refresh_token" in refused.json()["error_description"], "it says what there is"
