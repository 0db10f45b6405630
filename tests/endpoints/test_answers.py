"""What every answer has (RFC 6749 §5.1, §5.2), and that a refusal spends nothing."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from detent.grants.refresh_token import REFUSED
from tests.attacks.outcomes import assert_refused, signed_in
from tests.mission.test_a_tokens import claims_of
from tests.serving import API, REDIRECT_URI, SECRET, VAULT, VERIFIER, Detent

pytestmark = pytest.mark.quick

PASSWORD = {"grant_type": "password", "username": "test", "password": "test"}
Ask = Callable[[Detent], httpx.Response]

ISSUED: dict[str, Ask] = {
    "password": lambda d: d.token(**PASSWORD),
    "password, opaque": lambda d: d.token(**PASSWORD, resource=VAULT),
    "refresh_token": lambda d: d.refresh("testclient", d.sign_in()["refresh_token"]),
    "refresh_token, kept": lambda d: d.refresh("web", d.sign_in("web")["refresh_token"]),
    "refresh_token, narrowed": lambda d: d.refresh("app", d.sign_in("app")["refresh_token"], scope="read"),
    "authorization_code": lambda d: d.redeem("app", d.code("app")),
    "authorization_code, openid alone": lambda d: d.redeem("app", d.code("app", scope="openid", resource=())),
    "client_credentials": lambda d: d.token("machine", grant_type="client_credentials"),
}


@pytest.mark.parametrize("how", ISSUED)
def test_rfc6749_5_1_every_answer_says_type_life_and_scope_and_is_never_stored(standing: Detent, how: str) -> None:
    answer = ISSUED[how](standing)
    tokens = answer.json()

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert tokens["token_type"] == "Bearer"
    assert type(tokens["expires_in"]) is int
    assert tokens["expires_in"] > 0
    assert isinstance(tokens["scope"], str)
    assert tokens["scope"], "RFC 6749 §3.3: at least one"
    assert None not in tokens.values(), "what there is none of is absent"


@pytest.mark.parametrize(
    ("client", "scope"),
    [
        ("app", "read"),
        ("app", "write read"),
        ("app", "openid profile email read"),
        ("app", "openid offline_access read write"),
        ("spa", "openid profile email offline_access read"),
        ("web", "offline_access read"),
    ],
)
def test_scope_is_the_set_that_was_granted_offline_access_included(standing: Detent, client: str, scope: str) -> None:
    first = standing.sign_in(client, scope=scope)
    second = standing.refreshed(client, first["refresh_token"])
    for tokens in (first, second):
        assert set(tokens["scope"].split()) == set(scope.split())
        assert claims_of(tokens["access_token"])["scope"] == tokens["scope"], "the answer and the token agree"


def test_without_a_scope_the_client_gets_what_it_may_have_there_and_is_told_so(standing: Detent) -> None:
    assert standing.sign_in()["scope"] == "read write"
    assert standing.token("machine", grant_type="client_credentials").json()["scope"] == "read"


def test_expires_in_is_the_life_of_the_access_token(standing: Detent) -> None:
    for client, seconds in (("testclient", 3600), ("app", 3600), ("spa", 600)):
        tokens = standing.sign_in(client)
        claims = claims_of(tokens["access_token"])
        assert tokens["expires_in"] == claims["exp"] - claims["iat"] == seconds


def test_no_access_token_outlives_its_family(detent: Detent) -> None:
    first = detent.sign_in("spa")["refresh_token"]
    for _ in range(7 * 24 // 11):
        detent.clock.advance(11 * 3600)
        first = detent.refreshed("spa", first)["refresh_token"]
    family = detent.family(first, "spa")
    detent.clock.advance(family.absolute_until - detent.clock.now() - 7)
    assert detent.refreshed("spa", first)["expires_in"] == 7
    detent.clock.advance(7)
    assert_refused(detent.refresh("spa", first))


REFUSALS: dict[str, tuple[int, str, Ask]] = {
    "no grant type": (400, "invalid_request", lambda d: d.token(scope="read")),
    "an unknown grant type": (400, "unsupported_grant_type", lambda d: d.token(grant_type="implicit")),
    "a grant type of others": (400, "unauthorized_client", lambda d: d.token("other", **PASSWORD)),
    "a public machine": (400, "unauthorized_client", lambda d: d.token("app", grant_type="client_credentials")),
    "a wrong secret": (401, "invalid_client", lambda d: d.http.post("/oauth/token", data=PASSWORD, auth=("web", "x"))),
    "a wrong password": (400, "invalid_grant", lambda d: d.token(**(PASSWORD | {"password": "wrong"}))),
    "an unknown person": (400, "invalid_grant", lambda d: d.token(**(PASSWORD | {"username": "nobody"}))),
    "no password": (400, "invalid_request", lambda d: d.token(grant_type="password", username="test")),
    "no code": (400, "invalid_request", lambda d: d.token("app", grant_type="authorization_code")),
    "a wrong code": (400, "invalid_grant", lambda d: d.redeem("app", "dtac_wrong")),
    "no refresh token": (400, "invalid_request", lambda d: d.token(grant_type="refresh_token")),
    "a wrong refresh token": (400, "invalid_grant", lambda d: d.refresh("app", "dtrt_wrong")),
    "a scope of others": (400, "invalid_scope", lambda d: d.token(**PASSWORD, scope="admin")),
    "an unknown API": (400, "invalid_target", lambda d: d.token(**PASSWORD, resource="https://no.example/")),
    "another media type": (415, "invalid_request", lambda d: d.http.post("/oauth/token", content="x")),
    "a body too large": (413, "invalid_request", lambda d: d.http.post("/oauth/token", content="x" * 70_000)),
    "a wrong method": (405, "invalid_request", lambda d: d.http.get("/oauth/token")),
    "a path that leads nowhere": (404, "not_found", lambda d: d.http.post("/oauth/nothing")),
    "another host": (421, "invalid_request", lambda d: d.http.get("/userinfo", headers={"Host": "evil.example"})),
    "headers too large": (431, "invalid_request", lambda d: d.http.get("/userinfo", headers={"X": "x" * 20_000})),
    "no token to revoke": (400, "invalid_request", lambda d: d.post("/oauth/revoke", "testclient", x="y")),
    "a public client that asks": (401, "invalid_client", lambda d: d.post("/oauth/introspect", "app", token="x")),
    "no access token": (401, "invalid_token", lambda d: d.http.get("/userinfo")),
    "a wrong access token": (401, "invalid_token", lambda d: userinfo(d, "dtat_wrong")),
    "an access token without openid": (403, "insufficient_scope", lambda d: userinfo(d, d.sign_in()["access_token"])),
}


def userinfo(detent: Detent, token: str) -> httpx.Response:
    return detent.http.get("/userinfo", headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize("what", REFUSALS)
def test_rfc6749_5_2_every_refusal_is_json_with_a_sentence_and_a_support_id_and_is_never_stored(
    standing: Detent, what: str
) -> None:
    status, error, ask = REFUSALS[what]
    first, second = ask(standing), ask(standing)

    for answer in (first, second):
        assert_refused(answer, error, status)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["pragma"] == "no-cache"
        description = answer.json()["error_description"]
        assert description.isascii()
        assert description.isprintable()
        assert not {'"', "\\"} & set(description), "RFC 6749 §5.2: the characters of error_description"
        assert description.endswith(f" Support id: {answer.json()['support_id']}.")
        assert description[0].isupper(), "a sentence"
    assert first.json()["support_id"] != second.json()["support_id"]


def test_the_error_of_a_refresh_is_one_text_whatever_the_reason(detent: Detent) -> None:
    used, revoked, other = (signed_in(detent, "testclient") for _ in range(3))
    expired = signed_in(detent, "spa")
    detent.refreshed("testclient", used["refresh_token"])
    detent.revoke(revoked["refresh_token"])
    answers = [
        detent.refresh("testclient", "garbage"),
        detent.refresh("testclient", "dtrt_" + "A" * 84),
        detent.refresh("other", other["refresh_token"]),
        detent.refresh("testclient", used["refresh_token"]),
        detent.refresh("testclient", revoked["refresh_token"]),
    ]
    detent.clock.advance(12 * 3600)
    answers.append(detent.refresh("spa", expired["refresh_token"]))

    assert REFUSED == "Unknown or invalid refresh token."
    for answer in answers:
        assert_refused(answer)
        support_id = answer.json()["support_id"]
        assert answer.json()["error_description"] == f"Unknown or invalid refresh token. Support id: {support_id}."


CODE_MISTAKES: dict[str, dict[str, Any]] = {
    "another verifier": {"code_verifier": "x" * 43},
    "no verifier": {"code_verifier": None},
    "another redirect_uri": {"redirect_uri": REDIRECT_URI + "/"},
    "no redirect_uri": {"redirect_uri": None},
    "an API beyond": {"resource": VAULT},
    "an unknown API": {"resource": "https://no.example/"},
}


@pytest.mark.parametrize("mistake", CODE_MISTAKES)
def test_rfc6749_4_1_3_everything_is_checked_before_a_code_is_spent(standing: Detent, mistake: str) -> None:
    code = standing.code("app")
    refused = standing.redeem("app", code, **CODE_MISTAKES[mistake])
    assert_refused(refused, "invalid_target" if "API" in mistake else "invalid_grant")
    assert_refused(standing.redeem("spa", code), "invalid_grant")
    assert standing.redeem("app", code, code_verifier=VERIFIER).status_code == 200


REFRESH_MISTAKES: dict[str, tuple[str, dict[str, Any]]] = {
    "a wider scope": ("invalid_scope", {"scope": "read write admin"}),
    "a scope of wrong characters": ("invalid_scope", {"scope": 'read"'}),
    "an API beyond": ("invalid_target", {"resource": VAULT}),
    "an unknown API": ("invalid_target", {"audience": "https://no.example/"}),
}


@pytest.mark.parametrize("mistake", REFRESH_MISTAKES)
def test_rfc6749_6_everything_is_checked_before_a_refresh_token_is_spent(standing: Detent, mistake: str) -> None:
    error, form = REFRESH_MISTAKES[mistake]
    mine = standing.sign_in(resource=API)
    before = standing.family(mine["refresh_token"])
    assert_refused(standing.refresh("testclient", mine["refresh_token"], **form), error)
    wrong_secret = standing.http.post(
        "/oauth/token",
        data={"grant_type": "refresh_token", "refresh_token": mine["refresh_token"]},
        auth=("testclient", SECRET + "x"),
    )
    assert_refused(wrong_secret, "invalid_client", 401)
    assert standing.family(mine["refresh_token"]) == before
    standing.refreshed("testclient", mine["refresh_token"])


def test_revocation_answers_nothing_and_is_never_stored(standing: Detent) -> None:
    for token in (standing.sign_in()["refresh_token"], "unknown"):
        answer = standing.revoke(token)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["cache-control"] == "no-store"
