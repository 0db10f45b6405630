"""The claims parameter (OpenID Connect Core §5.5): claims by name, with the leave of the person, and for how long."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from detent.core.changes import ReplaceClient
from detent.core.session import ACR_VALUES
from tests.browsing import Browser
from tests.mission.test_a_tokens import claims_of
from tests.serving import Detent

EMAIL = "test@example.com"


def asking(**places: Any) -> str:
    return json.dumps(places)


def told(detent: Detent, tokens: dict[str, Any]) -> dict[str, Any]:
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    found: dict[str, Any] = detent.http.get("/userinfo", headers=bearer).json()
    return found


@pytest.mark.parametrize("wish", [None, {}, {"essential": True}, {"value": EMAIL}, {"values": ["x", EMAIL]}])
def test_openid_core_5_5_a_claim_is_told_where_it_was_asked_for_and_on_every_refresh(
    standing: Detent, wish: dict[str, Any] | None
) -> None:
    with Browser(standing) as browser:
        there = browser.tokens(scope="openid read", claims=asking(id_token={"email": wish}))
        here = browser.tokens(scope="openid read", claims=asking(userinfo={"email": wish}))
        for _ in range(3):
            assert claims_of(there["id_token"])["email"] == EMAIL
            assert "email" not in told(standing, there)
            assert "email" not in claims_of(here["id_token"])
            assert told(standing, here).keys() == {"sub", "email"}
            standing.clock.advance(61)
            there, here = (standing.refreshed("spa", each["refresh_token"]) for each in (there, here))
        assert there["scope"] == "openid read", "the scope is what it was"


@pytest.mark.quick
def test_openid_core_5_5_1_a_claim_that_is_wanted_with_another_value_is_left_out(standing: Detent) -> None:
    with Browser(standing) as browser:
        asked = asking(
            userinfo={"email": {"value": "x@example.com"}, "name": {"values": ["A", "B"]}, "phone_number": None}
        )
        assert told(standing, browser.tokens(scope="openid", claims=asked)).keys() == {"sub"}


def test_openid_core_3_1_2_4_people_are_asked_leave_for_what_is_asked_by_name(detent: Detent) -> None:
    with Browser(detent) as browser:
        browser.sign_in(scope="openid")
        assert "code" in browser.authorize(scope="openid", prompt="none").answer
        silent = browser.authorize(scope="openid", prompt="none", claims=asking(userinfo={"email": None}))
        assert silent.answer["error"] == "consent_required"
        page = browser.authorize(scope="openid", claims=asking(userinfo={"email": None}))
        assert page.path == "/consent"
        assert "See your email address" in page.text
        answer = browser.allow(page).answer
        tokens = detent.redeem("spa", answer["code"]).json()
        assert told(detent, tokens).keys() == {"sub", "email"}
        assert (
            "code" in browser.authorize(scope="openid", prompt="none", claims=asking(id_token={"email": None})).answer
        )


@pytest.mark.quick
@pytest.mark.parametrize(
    "claims", ["{", "[]", '"x"', '{"userinfo": {"email": 1}}', '{"id_token": []}', "[" * 4000, " " * 4097]
)
def test_openid_core_5_5_what_is_no_claims_request_is_an_error_for_the_client(standing: Detent, claims: str) -> None:
    with Browser(standing) as browser:
        answer = browser.authorize(claims=claims).answer
    assert answer["error"] == "invalid_request"
    assert "claims" in answer["error_description"]


@pytest.mark.quick
@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"userinfo": None, "id_token": None, "verified": {"x": 1}},
        {"userinfo": {"http://example.com/favourite": None, "password_hash": {"essential": True}, "username": None}},
        {"id_token": {"auth_time": {"essential": True}, "amr": None, "name#de": None}},
    ],
)
def test_openid_core_5_5_what_is_not_known_is_ignored_and_nothing_but_standard_claims_is_told(
    standing: Detent, claims: dict[str, Any]
) -> None:
    with Browser(standing) as browser:
        plain = browser.tokens(scope="openid")
        asked = browser.tokens(scope="openid", claims=json.dumps(claims))
    assert told(standing, asked) == told(standing, plain)
    assert claims_of(asked["id_token"]).keys() == claims_of(plain["id_token"]).keys()
    assert {"auth_time", "amr", "acr"} <= claims_of(plain["id_token"]).keys()


@pytest.mark.quick
def test_openid_core_5_5_without_openid_it_is_no_request_for_claims(standing: Detent) -> None:
    with Browser(standing) as browser:
        tokens = browser.tokens(scope="read", claims=asking(id_token={"email": None}))
    assert "id_token" not in tokens


def test_openid_core_5_5_1_sub_with_a_value_is_who_must_sign_in(standing: Detent) -> None:
    mine, ada = (standing.user(name).subject for name in ("test", "ada"))
    with Browser(standing) as browser:
        browser.sign_in()
        assert "code" in browser.authorize(prompt="none", claims=asking(id_token={"sub": {"value": mine}})).answer
        other = asking(id_token={"sub": {"value": ada}})
        assert browser.authorize(prompt="none", claims=other).answer["error"] == "login_required"
        page = browser.authorize(claims=other)
        assert page.path == "/login"
        again = browser.log_in(page)
        assert again.path == "/login", "nobody but her"
        assert "code" in browser.allow(browser.log_in(again, "ada", "lovelace")).answer
        two = asking(id_token={"sub": {"values": [mine, ada]}})
        assert browser.authorize(claims=two).answer["error"] == "invalid_request"


def test_openid_core_5_5_1_1_an_essential_acr_is_reached_or_refused(standing: Detent) -> None:
    with Browser(standing) as browser:
        reached = asking(id_token={"acr": {"essential": True, "values": ["urn:x", *ACR_VALUES]}})
        assert claims_of(browser.tokens(claims=reached)["id_token"])["acr"] == ACR_VALUES[0]
        never = asking(id_token={"acr": {"essential": True, "value": "urn:x"}})
        assert browser.authorize(claims=never).answer["error"] == "unmet_authentication_requirements"
        wish = asking(id_token={"acr": {"value": "urn:x"}})
        assert "code" in browser.authorize(prompt="none", claims=wish).answer


def test_dynamic_registration_2_default_max_age_stands_where_the_request_says_nothing(standing: Detent) -> None:
    registered = standing.thread.call(standing.store.client("spa"))
    aged = replace(registered, extra={"default_max_age": 100}, version=registered.version + 1)
    standing.apply(ReplaceClient(aged))
    with Browser(standing) as browser:
        browser.sign_in()
        assert "code" in browser.authorize(prompt="none").answer
        standing.clock.advance(101)
        assert browser.authorize(prompt="none").answer["error"] == "login_required"
        assert "code" in browser.authorize(prompt="none", max_age="200").answer
    standing.apply(ReplaceClient(replace(registered, version=aged.version + 1)))
