"""Mission B, sign-in by browser: code + PKCE, what arrives where, silent sign-in, and the story of the theft."""

import html
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from detent.core.changes import InsertClient
from tests.browsing import Browser
from tests.mission.test_a_tokens import claims_of
from tests.serving import ORIGIN, VAULT, Detent, client

pytestmark = pytest.mark.quick

OFFLINE = "openid profile email read offline_access"


def test_b1_the_id_token_at_login_is_for_the_client_and_says_what_the_scopes_ask_for(detent: Detent) -> None:
    with Browser(detent) as browser:
        claims = claims_of(browser.tokens(scope="openid profile email read")["id_token"])
        assert claims["aud"] == "spa"
        assert claims["iss"] == detent.issuer
        assert claims["nonce"] == "a-nonce"
        assert claims["sid"]
        assert (claims["name"], claims["email"]) == ("Test Person", "test@example.com")
        assert claims["picture"] == "https://example.com/test.png"
        assert not {"name", "email", "picture"} & claims_of(browser.tokens(scope="openid read")["id_token"]).keys()


def test_b4_a_new_access_token_by_login_or_by_refresh_token(detent: Detent) -> None:
    with Browser(detent) as browser:
        first = browser.tokens()
        by_login = browser.tokens()
        by_refresh = detent.refreshed("spa", first["refresh_token"])
    tokens = [each["access_token"] for each in (first, by_login, by_refresh)]
    assert len(set(tokens)) == 3
    assert [detent.secret(token).status_code for token in tokens] == [200, 200, 200]


@pytest.mark.parametrize("response_mode", ["query", "form_post", "web_message"])
def test_b5_no_refresh_token_travels_in_a_front_channel(detent: Detent, response_mode: str) -> None:
    with Browser(detent) as browser:
        browser.sign_in(scope=OFFLINE)
        page = browser.authorize(scope=OFFLINE, response_mode=response_mode)
        carried = page.response.headers.get("location", "") + page.text
        assert "dtac_" in carried, "the code does travel"
        assert "dtrt_" not in carried
        assert "refresh_token" not in carried


@pytest.mark.parametrize("response_type", ["token", "id_token", "code token", "code id_token token", "none"])
def test_b5_no_other_response_type_brings_tokens_to_a_front_channel(detent: Detent, response_type: str) -> None:
    with Browser(detent) as browser:
        answer = browser.authorize(response_type=response_type).answer
        assert answer["error"] == "unsupported_response_type"


def test_b6_authorization_code_flow_with_pkce(detent: Detent) -> None:
    with Browser(detent) as browser:
        page = browser.authorize()
        assert page.path == "/login"
        page = browser.log_in(page)
        assert page.path == "/consent"
        answer = browser.press(page, "consent-accept").answer
        assert answer.keys() == {"code", "state", "iss"}
        assert (answer["state"], answer["iss"]) == ("a-state", detent.issuer)

        wrong = detent.redeem("spa", answer["code"], code_verifier="x" * 43)
        assert (wrong.status_code, wrong.json()["error"]) == (400, "invalid_grant")
        tokens = detent.redeem("spa", answer["code"]).json()
        assert tokens.keys() == {"access_token", "token_type", "expires_in", "scope", "refresh_token", "id_token"}
        assert detent.secret(tokens["access_token"]).status_code == 200

        refused = browser.authorize(code_challenge=None, code_challenge_method=None).answer
        assert refused["error"] == "invalid_request"


def test_b7_a_session_goes_on_without_refresh_tokens(detent: Detent) -> None:
    """Cookies and silent authentication: `prompt=none` by redirect, and as a web message for a hidden frame."""
    with Browser(detent) as browser:
        assert browser.authorize(prompt="none").answer["error"] == "login_required"
        browser.sign_in()
        answer = browser.authorize(prompt="none").answer
        assert detent.redeem("spa", answer["code"]).status_code == 200

        framed = browser.authorize(prompt="none", response_mode="web_message")
        assert framed.status == 200
        assert f"frame-ancestors {ORIGIN}" in framed.response.headers["content-security-policy"]
        assert "x-frame-options" not in framed.response.headers
        assert "dtac_" in framed.text


def test_b7_an_app_without_refresh_tokens_goes_on_for_as_long_as_the_session_does(detent: Detent) -> None:
    keys: Any = detent.house.outside.keys
    detent.apply(InsertClient(client("silent", "browser", keys, grant_types=("authorization_code",))))
    with Browser(detent) as browser:
        first = browser.tokens("silent")
        assert "refresh_token" not in first
        for _ in range(3):
            detent.clock.advance(3601)
            assert detent.secret(first["access_token"]).status_code == 401, "its access token is over"
            framed = browser.authorize("silent", prompt="none", response_mode="web_message")
            told = json.loads(html.unescape(framed.text.split('data-response="')[1].split('"')[0]))
            first = detent.redeem("silent", told["code"]).json()
            assert "refresh_token" not in first
            assert detent.secret(first["access_token"]).status_code == 200
        browser.press(browser.open("/logout"), "logout-confirm")
        framed = browser.authorize("silent", prompt="none", response_mode="web_message")
        assert "login_required" in framed.text


def test_b9_with_rotation_every_exchange_returns_new_tokens_and_the_old_refresh_token_is_dead(detent: Detent) -> None:
    with Browser(detent) as browser:
        tokens = [browser.tokens()]
        for _ in range(3):
            tokens.append(detent.refreshed("spa", tokens[-1]["refresh_token"]))
    assert len({each["refresh_token"] for each in tokens}) == len({each["access_token"] for each in tokens}) == 4
    assert detent.refresh("spa", tokens[0]["refresh_token"]).json()["error"] == "invalid_grant"


def refused(detent: Detent, client: str, refresh_token: str) -> bool:
    answer = detent.refresh(client, refresh_token)
    return (answer.status_code, answer.json().get("error")) == (400, "invalid_grant")


def test_b10_to_b12_the_thief_is_refused_the_family_dies_and_the_owner_signs_in_again(detent: Detent) -> None:
    """With overlap 0 (the browser kind)."""
    with Browser(detent) as owner:
        rt1 = owner.tokens(resource=VAULT)
        rt2 = detent.refreshed("spa", rt1["refresh_token"])
        assert detent.introspect(rt2["access_token"], "demo-api")["active"]
        assert refused(detent, "spa", rt1["refresh_token"]), "the thief"
        assert refused(detent, "spa", rt2["refresh_token"]), "the owner"
        assert detent.introspect(rt2["access_token"], "demo-api") == {"active": False}
        again = owner.tokens()
        assert detent.refresh("spa", again["refresh_token"]).status_code == 200


def test_b10_to_b12_the_same_once_the_default_overlap_has_passed(detent: Detent) -> None:
    """The native kind: once the owner has gone on and 60 s have passed, the used token ends the family."""
    with Browser(detent) as owner:
        rt1 = owner.tokens("app", scope=OFFLINE)
        rt2 = detent.refreshed("app", rt1["refresh_token"])
        detent.clock.advance(61)
        rt3 = detent.refreshed("app", rt2["refresh_token"])
        detent.clock.advance(61)
        assert refused(detent, "app", rt1["refresh_token"]), "the thief"
        assert refused(detent, "app", rt3["refresh_token"]), "the owner"
        assert detent.refresh("app", owner.tokens("app", scope=OFFLINE)["refresh_token"]).status_code == 200


def test_b10_to_b12_inside_the_overlap_the_thief_gets_only_what_the_owner_has(detent: Detent) -> None:
    with Browser(detent) as owner:
        rt1 = owner.tokens("app", scope=OFFLINE)
        rt2 = detent.refreshed("app", rt1["refresh_token"])
        stolen = detent.refreshed("app", rt1["refresh_token"])
        assert stolen["refresh_token"] == rt2["refresh_token"], "nothing of his own"
        detent.clock.advance(61)
        rt3 = detent.refreshed("app", rt2["refresh_token"])
        detent.clock.advance(61)
        rt4 = detent.refreshed("app", rt3["refresh_token"])
        assert refused(detent, "app", stolen["refresh_token"]), "the next divergence"
        assert refused(detent, "app", rt4["refresh_token"])


def test_b13_the_same_end_if_the_thief_redeems_first(detent: Detent) -> None:
    with Browser(detent) as owner:
        rt1 = owner.tokens()
        thief = detent.refreshed("spa", rt1["refresh_token"])
        assert refused(detent, "spa", rt1["refresh_token"]), "the owner"
        assert refused(detent, "spa", thief["refresh_token"]), "the thief"
        assert owner.tokens()["refresh_token"]


def test_b15_on_reuse_the_newest_token_is_dead_before_the_answer_is_sent(detent: Detent) -> None:
    with Browser(detent) as owner:
        rt1 = owner.tokens()
    rt2 = detent.refreshed("spa", rt1["refresh_token"])
    before: dict[str, Any] = {}

    def stored(event_hook: Any) -> None:
        before["status"] = detent.family(rt2["refresh_token"], "spa").status

    detent.http.event_hooks["response"].append(stored)
    try:
        detent.refresh("spa", rt1["refresh_token"])
    finally:
        detent.http.event_hooks["response"].clear()
    assert before == {"status": "compromised"}, "durable when the first byte of the answer arrived"


def test_b5_a_code_travels_in_the_query_and_never_in_a_fragment(detent: Detent) -> None:
    with Browser(detent) as browser:
        browser.sign_in()
        assert not urlsplit(browser.authorize().location).fragment
        assert browser.authorize(response_mode="fragment").answer["error"] == "invalid_request"
