"""Attempts to widen what was granted (rows T13, T14), over HTTP: refused, and nothing is spent by the refusal."""

import pytest

from tests.attacks.outcomes import assert_refused, ongoing
from tests.serving import API, REPORTS, VAULT, Detent

pytestmark = pytest.mark.quick

detent = ongoing


@pytest.mark.parametrize(
    "scope",
    ["read write reports", "reports", "openid", "offline_access read", "*", "READ", " ", "   ", "read\twrite",
     'read "write"', "read\\", "read é", "read " * 200 + "reports", " ".join(f"s{n}" for n in range(129))],
)  # fmt: skip
@pytest.mark.parametrize("client", ["testclient", "app"])
def test_attack_t13_rfc6749_6_scope_is_never_widened_nor_blank(detent: Detent, client: str, scope: str) -> None:
    tokens = detent.sign_in(client, scope="read write")
    assert_refused(detent.refresh(client, tokens["refresh_token"], scope=scope), "invalid_scope")
    assert detent.family(tokens["refresh_token"], client).generation == 1
    assert detent.refreshed(client, tokens["refresh_token"])["scope"] == "read write"


@pytest.mark.parametrize("client", ["testclient", "app", "web"])
def test_attack_t13_rfc6749_6_narrowing_does_not_shrink_the_grant(detent: Detent, client: str) -> None:
    token = detent.sign_in(client, scope="read write")["refresh_token"]
    for scope, answered in (("read", "read"), ("write", "write"), ("", "read write"), ("write read", "write read")):
        detent.clock.advance(61)
        tokens = detent.refreshed(client, token, scope=scope)
        token = tokens["refresh_token"]
        assert tokens["scope"] == answered
        wider = detent.refresh(client, token, scope="read reports")
        assert_refused(wider, "invalid_scope")


def test_attack_t13_rfc6749_6_a_repeat_is_no_way_around_the_scope_check(detent: Detent) -> None:
    first = detent.sign_in("app", scope="read")
    second = detent.refreshed("app", first["refresh_token"])
    for token in (first, second):  # the parent inside the overlap, and the young head
        assert_refused(detent.refresh("app", token["refresh_token"], scope="read write"), "invalid_scope")
        assert_refused(detent.refresh("app", token["refresh_token"], resource=VAULT), "invalid_target")
        again = detent.refreshed("app", token["refresh_token"], scope="read")
        assert (again["refresh_token"], again["scope"]) == (second["refresh_token"], "read")


@pytest.mark.parametrize(
    "resource",
    [VAULT, [API, VAULT], [API, REPORTS, VAULT], "https://unknown.example/", f"{API}admin", API.rstrip("/"),
     API.upper(), "api", f"{API}#x", " ", "*"],
)  # fmt: skip
@pytest.mark.parametrize("parameter", ["resource", "audience"])
def test_attack_t14_rfc8707_2_2_the_audience_is_never_widened(
    detent: Detent, parameter: str, resource: str | list[str]
) -> None:
    token = detent.sign_in("app", scope="read reports", resource=(API, REPORTS))["refresh_token"]
    assert_refused(detent.refresh("app", token, **{parameter: resource}), "invalid_target")
    assert detent.family(token, "app").generation == 1
    assert detent.refreshed("app", token, **{parameter: [API, REPORTS]})["scope"] == "read reports"


def test_attack_t14_rfc8707_2_2_the_audience_of_the_issuer_itself_cannot_be_asked_for(detent: Detent) -> None:
    tokens = detent.sign_in("testclient", scope="read")
    for audience in (detent.issuer, f"{detent.issuer}userinfo", "testclient"):
        assert_refused(detent.refresh("testclient", tokens["refresh_token"], audience=audience), "invalid_target")
