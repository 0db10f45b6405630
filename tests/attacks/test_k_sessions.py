"""Attacks on sessions, cookies and forms (rows R14-R16, C11, K1-K3, K8, K11, K12), over HTTP."""

import logging
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from detent.core.ids import ClientId, Seconds
from detent.core.policy import DAY, HOUR
from detent.core.session import SessionPolicy
from tests.attacks.outcomes import ongoing
from tests.attacks.test_r_authorize import assert_page, assert_told
from tests.browsing import STATE, Browser, Page
from tests.serving import ORIGIN, RETURN_URI, VAULT, Detent, running

detent = ongoing


def session_cookie(browser: Browser) -> str:
    return next(cookie.value or "" for cookie in browser.http.cookies.jar if "_session_" in cookie.name)


def holding(detent: Detent, browser: Browser) -> Browser:
    """A thief's browser with copies of all cookies of this one."""
    thief = Browser(detent)
    thief.http.cookies.update(browser.http.cookies)
    return thief


@pytest.mark.quick
def test_attack_r14_rfc9700_4_12_credentials_are_answered_with_303(detent: Detent) -> None:
    with Browser(detent) as browser:
        page = browser.log_in(browser.authorize())
        browser.allow(page)
        posts = [each for each in browser.passed if each.request.method == "POST"]
        assert [each.status_code for each in posts] == [303, 303]


@pytest.mark.quick
def test_attack_r15_an_interaction_is_sealed(detent: Detent) -> None:
    with Browser(detent) as browser:
        page = browser.authorize()
        sealed = page.forms[0]["fields"]["interaction"]
        for bad in ("", sealed[:-1], sealed[:30] + ("A" if sealed[30] != "A" else "B") + sealed[31:], "dtin_x", "{}"):
            assert_page(browser.press(page, "login", username="test", password="test", interaction=bad))
        assert "code" in browser.allow(browser.log_in(page)).answer


@pytest.mark.quick
def test_attack_r15_an_interaction_of_another_browser_is_refused(detent: Detent) -> None:
    with Browser(detent) as attacker, Browser(detent) as victim:
        page, own = attacker.authorize(), victim.authorize()
        foreign = page.forms[0]["fields"]["interaction"]
        assert_page(victim.open(f"/login?interaction={foreign}"))
        assert_page(victim.press(own, "login", username="test", password="test", interaction=foreign))


@pytest.mark.quick
def test_attack_r15_consent_shown_to_one_person_is_not_given_by_another(detent: Detent) -> None:
    with Browser(detent) as browser:
        for_test = browser.log_in(browser.authorize("app"))
        assert for_test.path == "/consent"
        hers = browser.log_in(browser.authorize("spa", prompt="login"), "ada", "lovelace")
        answer = browser.press(for_test, "consent-accept")
        assert "location" not in answer.response.headers
        assert answer.path in ("/consent", "/login") or answer.status == 400
        assert hers.status in (200, 303)
        consents = detent.thread.call(detent.house.outside.directory.consents(detent.user("ada").subject))
        assert "app" not in [each.client_id for each in consents]


@pytest.mark.quick
def test_attack_r15_the_consent_step_cannot_be_entered_without_signing_in(detent: Detent) -> None:
    with Browser(detent) as browser:
        sealed = browser.authorize().forms[0]["fields"]["interaction"]
        assert browser.open(f"/consent?interaction={sealed}").path == "/login"


@pytest.mark.quick
def test_attack_r16_consent_is_never_wider_than_shown_and_counts_once(detent: Detent) -> None:
    with Browser(detent) as browser:
        page = browser.log_in(browser.authorize("app", scope="openid read"), "ada", "lovelace")
        code = browser.press(page, "consent-accept", scope="openid read write offline_access").answer["code"]
        assert detent.redeem("app", code).json()["scope"] == "openid read"
        second = browser.press(page, "consent-accept")
        assert_page(second)


@pytest.mark.quick
def test_attack_r16_a_second_answer_does_not_end_what_the_first_one_began(detent: Detent) -> None:
    with Browser(detent) as browser:
        login = browser.authorize("spa", prompt="login consent")
        page = browser.log_in(login)
        tokens = detent.redeem("spa", browser.press(page, "consent-accept").answer["code"]).json()
        assert_page(browser.press(page, "consent-accept"))
        assert detent.refresh("spa", tokens["refresh_token"]).status_code == 200


@pytest.mark.quick
def test_attack_r16_a_native_app_is_never_answered_silently(detent: Detent) -> None:
    """RFC 8252 §8.6: whoever listens on the port gets nothing that no person saw."""
    with Browser(detent) as browser:
        browser.sign_in("app")
        assert browser.authorize("app").path == "/consent"
        assert_told(detent, browser.authorize("app", prompt="none"), "consent_required")


@pytest.mark.parametrize(
    ("between", "told"),
    [
        ("sign out", "signed out since"),
        ("withdraw", "withdrew the consent, since"),
        ("disable", "was disabled or removed since"),
        ("remove", "was disabled or removed since"),
        ("password", "cut off since"),
    ],
)
def test_attack_c11_a_code_is_void_once_its_person_left(
    tmp_path: Path, keys_folder: Path, caplog: pytest.LogCaptureFixture, between: str, told: str
) -> None:
    caplog.set_level(logging.DEBUG, "detent")
    with running(tmp_path, keys_folder) as house, Browser(house) as browser:
        code = browser.sign_in(scope="openid read offline_access")["code"]
        people, subject = house.house.people, house.user("test").subject
        match between:
            case "sign out":
                browser.press(browser.open("/logout"), "logout-confirm")
            case "withdraw":
                house.thread.call(house.house.consents.withdraw(subject, ClientId("spa"), house.clock.now()))
            case "disable":
                house.thread.call(people.disable(subject))
            case "remove":
                house.thread.call(people.remove(subject))
            case _:
                house.thread.call(people.set_password(subject, "new"))
        answer = house.redeem("spa", code)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
        assert told in caplog.text, "the operator is told why"


@pytest.mark.quick
def test_attack_k1_every_sign_in_gives_a_new_secret_and_the_old_one_is_dead(detent: Detent) -> None:
    with Browser(detent) as browser:
        browser.sign_in()
        with holding(detent, browser) as before:
            browser.allow(browser.log_in(browser.authorize(prompt="login")))
            assert session_cookie(browser) != session_cookie(before)
            assert "code" in browser.authorize(prompt="none").answer
            assert_told(detent, before.authorize(prompt="none"), "login_required")


@pytest.mark.quick
def test_attack_k1_a_planted_cookie_is_not_the_one_that_signs_in(detent: Detent) -> None:
    with Browser(detent) as attacker, Browser(detent) as victim:
        attacker.sign_in(username="ada")
        victim.http.cookies.update(attacker.http.cookies)
        page = victim.authorize(prompt="login")
        victim.allow(victim.log_in(page))
        assert session_cookie(victim) != session_cookie(attacker)
        tokens = detent.redeem("spa", victim.authorize(prompt="none").answer["code"]).json()
        me = detent.http.get("/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"}).json()
        assert me["sub"] == detent.user("test").subject
        assert_told(detent, attacker.authorize(prompt="none"), "login_required")


@pytest.mark.quick
@pytest.mark.parametrize("button", ["login", "cancel"])
@pytest.mark.parametrize("csrf", [None, "", "0" * 32])
def test_attack_k2_a_sign_in_form_without_its_token_is_refused(detent: Detent, button: str, csrf: str | None) -> None:
    with Browser(detent) as browser:
        page = browser.authorize()
        assert_page(browser.press(page, button, username="test", password="test", csrf=csrf), status=403)
        assert not [cookie for cookie in browser.http.cookies.jar if "_session_" in cookie.name]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": ORIGIN},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
@pytest.mark.parametrize("where", ["/login", "/consent", "/logout", "/account"])
def test_attack_k2_a_form_from_another_origin_is_refused(detent: Detent, headers: dict[str, str], where: str) -> None:
    with Browser(detent) as browser:
        page = browser.authorize("app", prompt="consent")
        if where != "/login":
            page = browser.log_in(page)
        if where in ("/logout", "/account"):
            page = browser.open(where)
        content = {**page.forms[0]["fields"], "username": "test", "password": "test"}
        answer = Page(browser.http.post(where, data=content, headers=headers))
        assert_page(answer, status=403)


def test_attack_k2_a_foreign_page_cannot_sign_anybody_out(detent: Detent) -> None:
    with Browser(detent) as browser:
        tokens = browser.tokens()
        for path in ("/oidc/logout", "/v2/logout"):
            for headers in ({}, {"referer": "https://evil.example/"}):
                page = browser.open(path, params={"client_id": "spa"}, headers=headers)
                assert page.path == "/logout", "the person is asked"
        other = detent.refreshed("spa", tokens["refresh_token"])
        assert "code" in browser.authorize(prompt="none").answer
        page = browser.open(
            "/v2/logout", params={"client_id": "spa", "returnTo": RETURN_URI}, headers={"referer": f"{ORIGIN}/"}
        )
        assert page.location == RETURN_URI
        assert detent.refresh("spa", other["refresh_token"]).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("value", ["", "x", "A" * 56, "x" * 5000, "dtrt_x", "é"])
def test_attack_k3_a_forged_cookie_is_nobody_and_costs_no_read(detent: Detent, value: str) -> None:
    port = detent.issuer.rstrip("/").rpartition(":")[2]
    headers = [(b"cookie", f"detent_session_{port}={value}".encode("latin-1"))]
    answer = Page(detent.http.get("/account", headers=headers))
    assert answer.status in (200, 303)
    assert "Test Person" not in answer.text


@pytest.mark.quick
def test_attack_k3_a_hundred_copies_of_a_cookie_are_none(detent: Detent) -> None:
    with Browser(detent) as browser:
        browser.sign_in()
        port = detent.issuer.rstrip("/").rpartition(":")[2]
        pair = f"detent_session_{port}={session_cookie(browser)}"
        answer = httpx.get(f"{detent.issuer}account", headers={"cookie": "; ".join([pair] * 100)})
        assert answer.status_code == 303


def test_attack_k8_no_page_may_be_kept(detent: Detent) -> None:
    with Browser(detent) as browser:
        browser.allow(browser.log_in(browser.authorize("app")))
        browser.open("/account")
        browser.open("/logout")
        browser.open("/authorize")
        for answer in browser.passed:
            assert answer.headers["cache-control"] == "no-store", answer.url
            assert answer.headers["referrer-policy"] in ("no-referrer", "same-origin")


@pytest.mark.parametrize("hint", ["none", "garbage", "another session's", "another person's"])
def test_attack_k11_rp_logout_2_without_a_fitting_hint_the_person_is_asked(detent: Detent, hint: str) -> None:
    with Browser(detent) as browser, Browser(detent) as elsewhere:
        browser.sign_in()
        given: dict[str, Any] = {"post_logout_redirect_uri": RETURN_URI, "client_id": "spa", "state": STATE}
        match hint:
            case "garbage":
                given["id_token_hint"] = "a.b.c"
            case "another session's":
                given["id_token_hint"] = elsewhere.tokens()["id_token"]
            case "another person's":
                given["id_token_hint"] = elsewhere.tokens(username="ada")["id_token"]
        page = browser.open("/oidc/logout", params=given)
        assert page.path == "/logout"
        assert "code" in browser.authorize(prompt="none").answer
        page = browser.press(page, "logout-confirm")
        assert page.location == f"{RETURN_URI}?state={STATE}"
        assert_told(detent, browser.authorize(prompt="none"), "login_required")


def test_attack_k11_an_expired_hint_of_this_session_signs_out_at_once(detent: Detent) -> None:
    with Browser(detent) as browser:
        hint = browser.tokens()["id_token"]
        detent.clock.advance(2 * HOUR)
        page = browser.open("/oidc/logout", params={"id_token_hint": hint, "post_logout_redirect_uri": RETURN_URI})
        assert page.location == RETURN_URI
        assert_told(detent, browser.authorize(prompt="none"), "login_required")


def test_attack_k11_logout_can_be_cancelled(detent: Detent) -> None:
    with Browser(detent) as browser:
        browser.sign_in()
        browser.press(browser.open("/logout"), "logout-cancel")
        assert "code" in browser.authorize(prompt="none").answer


@pytest.mark.parametrize("end", ["logout", "idle", "absolute", "password", "disabled", "elsewhere"])
def test_attack_k12_a_stolen_cookie_is_dead_with_its_session(tmp_path: Path, keys_folder: Path, end: str) -> None:
    policy = SessionPolicy(idle=Seconds(HOUR), absolute=Seconds(DAY))
    with (
        running(tmp_path, keys_folder, session_policy=policy) as house,
        Browser(house) as browser,
        ExitStack() as stack,
    ):
        tokens = browser.tokens(resource=VAULT)
        assert house.introspect(tokens["access_token"], "demo-api")["active"]
        thief = stack.enter_context(holding(house, browser))
        assert "code" in thief.authorize(prompt="none", resource=VAULT).answer
        subject = house.user("test").subject
        match end:
            case "logout":
                browser.press(browser.open("/logout"), "logout-confirm")
            case "idle":
                house.clock.advance(HOUR)
            case "absolute":
                for _ in range(25):
                    house.clock.advance(HOUR - 1)
                    thief.authorize(prompt="none")
            case "password":
                house.thread.call(house.house.people.set_password(subject, "new"))
            case "disabled":
                house.thread.call(house.house.people.disable(subject))
            case _:
                house.thread.call(house.house.sessions.sign_out(subject, house.clock.now()))
        assert thief.authorize(prompt="none").answer["error"] == "login_required"
        assert thief.open("/account").path == "/login"
        assert house.refresh("spa", tokens["refresh_token"]).json()["error"] == "invalid_grant"
        assert house.introspect(tokens["access_token"], "demo-api") == {"active": False}
