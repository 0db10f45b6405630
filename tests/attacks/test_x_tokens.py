"""Attacks on introspection, revocation and the use of tokens (rows X1, X2, X4, X5), over HTTP.

X3 is with the fault tests; X6, X11 and X12 are also where accounts, sectors and consent are. X7 and X9 say today that
their grants are not there.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.attacks.forging import Forge
from tests.attacks.outcomes import active, assert_refused, assert_unharmed, signed_in
from tests.mission.test_a_tokens import claims_of
from tests.serving import API, CONFIDENTIAL, SECRET, VAULT, Detent


def written(detent: Detent) -> tuple[int, int, int]:
    """How much was ever written to the store."""
    counted = detent.store.counters
    return counted.writes, counted.inserts, counted.commits


# X1: introspection


OUTSIDERS: dict[str, dict[str, Any]] = {
    "nobody": {},
    "a client that does not exist": {"auth": ("nobody", SECRET)},
    "a wrong secret": {"auth": ("testclient", "wrong")},
    "another client's secret, post": {"data": {"client_id": "testclient", "client_secret": "wrong"}},
    "a confidential client that proves nothing": {"data": {"client_id": "testclient"}},
    "a public client": {"data": {"client_id": "app"}},
    "a public client with a secret": {"auth": ("app", SECRET)},
    "a browser app": {"data": {"client_id": "spa"}},
    "a bearer token": {"headers": {"Authorization": "Bearer dtat_x"}},
}


@pytest.mark.parametrize("who", OUTSIDERS)
@pytest.mark.parametrize("resource", [API, VAULT])
def test_attack_x1_rfc7662_2_1_an_outsider_learns_nothing_by_introspection(
    standing: Detent, resource: str, who: str
) -> None:
    tokens = standing.sign_in(resource=resource)
    request = dict(OUTSIDERS[who])
    for token in (tokens["access_token"], tokens["refresh_token"], "no token at all"):
        form = {"token": token, **request.get("data", {})}
        answer = standing.http.post("/oauth/introspect", **(request | {"data": form}))
        assert_refused(answer, "invalid_client", 401)
        assert answer.headers["www-authenticate"].startswith("Basic ")


@pytest.mark.quick
@pytest.mark.parametrize("resource", [API, VAULT])
def test_attack_x1_rfc7662_4_who_is_not_concerned_is_told_inactive_and_nothing_else(
    standing: Detent, resource: str
) -> None:
    mine = standing.sign_in(resource=resource)
    before = written(standing)
    concerned = {"testclient", "demo-api"} if resource == VAULT else {"testclient"}
    for client in CONFIDENTIAL:
        told = standing.introspect(mine["access_token"], client)
        assert told["active"] is (client in concerned)
        if client not in concerned:
            assert told == {"active": False}
    for client in set(CONFIDENTIAL) - {"testclient"}:
        assert standing.introspect(mine["refresh_token"], client) == {"active": False}
    assert standing.introspect(mine["refresh_token"])["token_type"] == "refresh_token"
    assert written(standing) == before


@pytest.mark.quick
def test_attack_x1_a_token_in_the_url_is_refused_and_get_is_no_method(standing: Detent) -> None:
    token = standing.sign_in()["access_token"]
    in_url = standing.http.post(f"/oauth/introspect?token={token}", auth=("testclient", SECRET), data={"x": "y"})
    assert_refused(in_url, "invalid_request")
    by_get = standing.http.get(f"/oauth/introspect?token={token}", auth=("testclient", SECRET))
    assert_refused(by_get, "invalid_request", 405)
    assert_refused(standing.post("/oauth/introspect", "testclient", tokens=token), "invalid_request")


# X2: revocation


@pytest.mark.quick
@pytest.mark.parametrize("stranger", ["other", "web", "machine", "app", "cli", "spa"])
@pytest.mark.parametrize("owner", ["testclient", "app", "cli"])
def test_attack_x2_rfc7009_2_1_nobody_revokes_another_clients_tokens(
    standing: Detent, owner: str, stranger: str
) -> None:
    if owner == stranger:
        stranger = "testclient"
    mine = signed_in(standing, owner)
    before = written(standing)
    for token in (mine["refresh_token"], mine["access_token"]):
        for hint in ({}, {"token_type_hint": "refresh_token"}, {"token_type_hint": "access_token"}):
            answer = standing.revoke(token, stranger, **hint)
            assert (answer.status_code, answer.content) == (200, b""), "RFC 7009 §2.2: the same as for an unknown token"
            assert answer.headers["cache-control"] == "no-store"
    assert written(standing) == before, "nothing was written"
    assert_unharmed(standing, owner, [mine])


UNPROVED: list[dict[str, Any]] = [
    {},
    {"auth": ("testclient", "wrong")},
    {"data": {"client_id": "testclient"}},
    {"data": {"client_id": "testclient", "client_secret": "wrong"}},
    {"auth": ("nobody", SECRET)},
]


@pytest.mark.parametrize("request_", UNPROVED, ids=str)
def test_attack_x2_rfc7009_2_1_without_client_authentication_nothing_is_revoked(
    standing: Detent, request_: dict[str, Any]
) -> None:
    mine = signed_in(standing, "testclient")
    for token in (mine["refresh_token"], mine["access_token"]):
        form = {"token": token, **request_.get("data", {})}
        assert_refused(standing.http.post("/oauth/revoke", **(request_ | {"data": form})), "invalid_client", 401)
    assert_unharmed(standing, "testclient", [mine])


HINTS = ["access_token", "refresh_token", "id_token", "urn:nonsense", "", "x" * 1000]


@pytest.mark.parametrize("hint", HINTS, ids=lambda hint: hint[:15] or "empty")
@pytest.mark.parametrize("client", ["testclient", "app"])
def test_attack_x2_rfc7009_2_1_a_wrong_hint_hides_no_token(standing: Detent, client: str, hint: str) -> None:
    mine, second = signed_in(standing, client), signed_in(standing, client)

    assert standing.revoke(mine["refresh_token"], client, token_type_hint=hint).status_code == 200
    assert active(standing, mine) == [False], "the family with its access tokens"
    assert_refused(standing.refresh(client, mine["refresh_token"]))

    assert standing.revoke(second["access_token"], client, token_type_hint=hint).status_code == 200
    assert active(standing, second) == [False]
    assert standing.refresh(client, second["refresh_token"]).status_code == 200, "this one access token only"


@pytest.mark.quick
def test_attack_x2_a_forged_token_revokes_nothing(standing: Detent, keys_folder: Path) -> None:
    forge = Forge(standing, keys_folder)
    front, payload, signature = forge.genuine.split(".")
    forged = [f"{front}.{payload}.", f"{front}.{payload}.{signature[:-4]}AAAA", forge.minted(header={"typ": "JWT"})]
    before = written(standing)
    for token in forged:
        assert standing.revoke(token).status_code == 200
    assert written(standing) == before
    assert standing.introspect(forge.genuine)["active"] is True


def test_attack_x2_an_id_token_is_nothing_that_can_be_revoked(standing: Detent) -> None:
    mine = standing.sign_in(scope="openid read")
    before = written(standing)
    assert standing.revoke(mine["id_token"]).status_code == 200
    assert written(standing) == before
    assert standing.introspect(mine["access_token"])["active"] is True
    assert standing.refresh("testclient", mine["refresh_token"]).status_code == 200


# X4: one kind of token in another's place


LOGOUT_EVENT: dict[str, Any] = {"http://schemas.openid.net/event/backchannel-logout": {}}


def other_kinds(detent: Detent, forge: Forge) -> dict[str, str]:
    """Everything genuine that is no access token. A logout token that was really sent is in test_s_logout.py."""
    tokens = detent.sign_in(scope="openid read")
    code = detent.code("app")
    raw = tokens["refresh_token"].removeprefix("dtrt_")
    logout = forge.minted({"events": LOGOUT_EVENT, "aud": "testclient"}, {"typ": "logout+jwt"})
    return {
        "ID token": tokens["id_token"],
        "logout token": logout,
        "logout token of the API": forge.minted({"events": LOGOUT_EVENT}, {"typ": "logout+jwt"}),
        "ID token of the API": forge.minted(header={"typ": "JWT"}),
        "JWT without a type": forge.minted(without=("typ",)),
        "DPoP proof": forge.minted(header={"typ": "dpop+jwt"}),
        "request object": forge.minted(header={"typ": "oauth-authz-req+jwt"}),
        "refresh token": tokens["refresh_token"],
        "refresh token called an access token": f"dtat_{raw}",
        "code": code,
        "code called an access token": code.replace("dtac_", "dtat_"),
        "client secret": SECRET,
        "user name": "test",
    }


@pytest.mark.quick
def test_attack_x4_rfc9068_4_no_other_token_is_accepted_as_an_access_token(standing: Detent, keys_folder: Path) -> None:
    for name, token in other_kinds(standing, Forge(standing, keys_folder)).items():
        for path in ("/secret", "/opaque/secret"):
            at_api = standing.secret(token, path)
            assert (at_api.status_code, at_api.json()["error"]) == (401, "invalid_token"), name
        at_userinfo = standing.http.get("/userinfo", headers={"Authorization": f"Bearer {token}"})
        assert_refused(at_userinfo, "invalid_token", 401)
        if name != "refresh token":
            assert standing.introspect(token) == {"active": False}, name


@pytest.mark.quick
def test_attack_x4_a_refresh_token_is_never_called_a_bearer_token(standing: Detent) -> None:
    """An API that asks about a refresh token must not take the answer for an access token's (RFC 7662 §2.2)."""
    told = standing.introspect(standing.sign_in()["refresh_token"])
    assert (told["active"], told["token_type"]) == (True, "refresh_token")
    assert "aud" not in told


@pytest.mark.quick
@pytest.mark.parametrize("client", ["testclient", "app"])
def test_attack_x4_rfc8725_3_11_no_other_token_is_accepted_as_a_refresh_token_or_a_code(
    standing: Detent, keys_folder: Path, client: str
) -> None:
    mine = standing.sign_in(client, scope="openid read")
    opaque = standing.sign_in(client, resource=VAULT if client == "testclient" else (VAULT,))["access_token"]
    code = standing.code(client)
    refresh_tokens = {
        "access token": mine["access_token"],
        "ID token": mine["id_token"],
        "opaque access token": opaque,
        "opaque access token called a refresh token": opaque.replace("dtat_", "dtrt_"),
        "code": code,
        "code called a refresh token": code.replace("dtac_", "dtrt_"),
        "refresh token without its prefix": mine["refresh_token"].removeprefix("dtrt_"),
    }
    codes = {
        "access token": mine["access_token"],
        "ID token": mine["id_token"],
        "refresh token": mine["refresh_token"],
        "refresh token called a code": mine["refresh_token"].replace("dtrt_", "dtac_"),
        "opaque access token": opaque,
        "opaque access token called a code": opaque.replace("dtat_", "dtac_"),
    }
    before = written(standing)
    for token in refresh_tokens.values():
        assert_refused(standing.refresh(client, token), "invalid_grant")
    if client != "testclient":  # it has no authorization_code
        for token in codes.values():
            assert_refused(standing.redeem(client, token), "invalid_grant")
    assert written(standing) == before
    assert standing.refresh(client, mine["refresh_token"]).status_code == 200


@pytest.mark.quick
def test_attack_x4_an_access_token_opens_only_the_apis_that_it_names(standing: Detent) -> None:
    for_api, for_vault = standing.sign_in(resource=API), standing.sign_in(resource=VAULT)
    plain = standing.sign_in("app", scope="openid", resource=())
    for tokens, path in ((for_api, "/opaque/secret"), (for_vault, "/secret"), (plain, "/secret")):
        assert standing.secret(tokens["access_token"], path).status_code == 401
    for tokens in (for_api, for_vault):
        at_userinfo = standing.http.get("/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"})
        assert_refused(at_userinfo, "insufficient_scope", 403)


# X5: where an access token may stand


FORM = {"Content-Type": "application/x-www-form-urlencoded"}

MISPLACED: dict[str, Callable[[httpx.Client, str, str], httpx.Response]] = {
    "query": lambda http, path, token: http.get(path, params={"access_token": token}),
    "query, empty": lambda http, path, token: http.get(f"{path}?access_token=", headers=bearer(token)),
    "query, without a value": lambda http, path, token: http.get(f"{path}?access_token", headers=bearer(token)),
    "query and header": lambda http, path, token: http.get(path, params={"access_token": token}, headers=bearer(token)),
    "query, escaped": lambda http, path, token: http.get(f"{path}?access%5Ftoken={token}", headers=bearer(token)),
    "query, twice": lambda http, path, token: http.get(f"{path}?access_token={token}&access_token={token}"),
    "body": lambda http, path, token: http.post(path, data={"access_token": token}),
    "body and header": lambda http, path, token: http.post(path, data={"access_token": token}, headers=bearer(token)),
    "body, escaped": lambda http, path, token: http.post(
        path, content=f"access%5Ftoken={token}", headers=[*FORM.items(), *bearer(token)]
    ),
    "body, with a charset": lambda http, path, token: http.post(
        path,
        content=f"access_token={token}",
        headers=[("Content-Type", "Application/X-WWW-Form-URLencoded; charset=utf-8"), *bearer(token)],
    ),
    "two headers": lambda http, path, token: http.get(path, headers=[*bearer(token), *bearer(token)]),
    "two different headers": lambda http, path, token: http.get(path, headers=[*bearer(token), *bearer("x")]),
    "Basic and Bearer": lambda http, path, token: http.get(
        path, headers=[("Authorization", "Basic dGVzdDp0ZXN0"), *bearer(token)]
    ),
    "two tokens in one header": lambda http, path, token: http.get(path, headers=bearer(f"{token}, {token}")),
    "two tokens, one space": lambda http, path, token: http.get(path, headers=bearer(f"{token} {token}")),
    "two schemes in one header": lambda http, path, token: http.get(path, headers=bearer(f"{token}, Bearer {token}")),
    "no token": lambda http, path, token: http.get(path, headers=bearer("=")),
}


def bearer(token: str) -> list[tuple[str, str]]:
    return [("Authorization", f"Bearer {token}")]


@pytest.mark.parametrize("where", MISPLACED)
def test_attack_x5_rfc6750_2_a_token_elsewhere_or_twice_is_a_bad_request(standing: Detent, where: str) -> None:
    tokens = standing.sign_in(scope="openid read")
    good = bearer(tokens["access_token"])
    assert standing.http.get("/userinfo", headers=good).status_code == 200
    assert standing.http.post("/userinfo", headers=good).status_code == 200
    assert standing.api.get("/secret", headers=good).status_code == 200

    at_userinfo = MISPLACED[where](standing.http, "/userinfo", tokens["access_token"])
    at_api = MISPLACED[where](standing.api, "/secret", tokens["access_token"])

    assert_refused(at_userinfo, "invalid_request")
    assert (at_api.status_code, at_api.json()["error"]) == (400, "invalid_request")
    assert tokens["access_token"] not in at_userinfo.text + at_api.text


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke", "/oauth/introspect"])
def test_attack_x5_rfc6749_2_3_1_a_secret_in_the_url_is_a_bad_request(standing: Detent, path: str) -> None:
    mine = signed_in(standing, "testclient")
    secrets = {
        "refresh_token": mine["refresh_token"], "access_token": mine["access_token"], "token": mine["access_token"],
        "client_secret": SECRET, "client_assertion": "x", "password": "test", "code": "dtac_x",
        "code_verifier": "v" * 43,
    }  # fmt: skip
    form = {"grant_type": "refresh_token", "refresh_token": mine["refresh_token"], "token": "x"}
    for name, value in secrets.items():
        body = {key: given for key, given in form.items() if key != name}
        answer = standing.http.post(path, params={name: value}, data=body, auth=("testclient", SECRET))
        assert_refused(answer, "invalid_request")
        assert value not in answer.json()["error_description"] or len(value) < 20
    assert_unharmed(standing, "testclient", [mine])


# X7, X9: grants that would let somebody act for somebody else; X8: scopes that nobody gave the client

EXCHANGES: dict[str, dict[str, str]] = {
    "token exchange": {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "audience": VAULT,
    },
    "a JWT": {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"},
    "SAML": {"grant_type": "urn:ietf:params:oauth:grant-type:saml2-bearer"},
}


@pytest.mark.parametrize("how", EXCHANGES)
def test_attack_x7_x9_rfc8693_5_nobody_acts_for_somebody_else(standing: Detent, how: str) -> None:
    """By default nothing is allowed; and nobody can register what is not there."""
    token = standing.sign_in()["access_token"]
    for client in CONFIDENTIAL:
        answer = standing.token(client, subject_token=token, assertion=token, **EXCHANGES[how])
        assert_refused(answer, "unsupported_grant_type")
    told = standing.http.get("/.well-known/oauth-authorization-server").json()
    assert EXCHANGES[how]["grant_type"] not in told["grant_types_supported"]


@pytest.mark.parametrize("scope", ["write", "reports", "openid", "profile", "offline_access", "read write", "fly", "*"])
def test_attack_x8_rfc6749_3_3_a_machine_gets_its_own_scopes_and_no_persons(standing: Detent, scope: str) -> None:
    """`machine` may read; scopes that are about a person are not for who acts for itself."""
    granted = standing.token("machine", grant_type="client_credentials")
    assert granted.json()["scope"] == "read"
    assert_refused(standing.token("machine", grant_type="client_credentials", scope=scope), "invalid_scope")


def test_attack_x11_openid_5_3_2_one_person_has_one_subject_wherever_a_client_asks(standing: Detent) -> None:
    subject = standing.user("test").subject
    tokens = standing.sign_in(scope="openid read")
    for _ in range(2):
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        seen = [
            claims_of(tokens["id_token"])["sub"],
            claims_of(tokens["access_token"])["sub"],
            standing.http.get("/userinfo", headers=bearer).json()["sub"],
            standing.introspect(tokens["access_token"])["sub"],
            standing.introspect(tokens["refresh_token"])["sub"],
        ]
        assert seen == [subject] * len(seen)
        tokens = standing.refreshed("testclient", tokens["refresh_token"])
