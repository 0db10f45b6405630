"""Mission C3, and what the example app answers for C5, C8 and C9: examples/token_app.py in a process of its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from detent.core.api import Api
from detent.core.policy import DAY, HOUR, MINUTE
from tests.browsing import Browser
from tests.examples import free_port, present, registered, serving
from tests.serving import Detent, running

pytestmark = pytest.mark.slow

AUDIENCE = "https://token-app.example/"


class Page:
    """What the app's page does with its server, in one browser."""

    def __init__(self, detent: Detent, http: httpx.Client) -> None:
        self.detent = detent
        self.http = http
        self.browser = Browser(detent)

    def granted(self) -> httpx.URL:
        """Where detent sends the browser after the sign-in."""
        asked = self.http.get("/api/auth/login")
        page = self.browser.open(asked.headers["location"])
        return httpx.URL(self.browser.allow(self.browser.log_in(page) if page.path == "/login" else page).location)

    def callback(self, url: httpx.URL) -> httpx.Response:
        return self.http.get("/api/auth/callback", params=url.params)

    def sign_in(self) -> dict[str, Any]:
        answer = self.callback(self.granted())
        assert answer.status_code == 200, answer.text
        pair: dict[str, Any] = answer.json()
        return pair

    def renew(self, refresh_token: str) -> httpx.Response:
        return self.http.post("/api/auth/token", json={"refreshToken": refresh_token})

    def me(self, access_token: str) -> httpx.Response:
        return self.http.get("/api/me", headers={"Authorization": f"Bearer {access_token}"})

    def logout(self, refresh_token: str) -> httpx.Response:
        return self.http.post("/api/auth/logout", json={"refreshToken": refresh_token})


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, keys_folder: Path) -> Iterator[Detent]:
    folder = tmp_path_factory.mktemp("token")
    with running(folder, keys_folder, clock=present()) as detent:
        yield detent


@pytest.fixture(scope="module", params=["family", "unique_claim", "short_lived"])
def page(request: pytest.FixtureRequest, house: Detent) -> Iterator[Page]:
    port, strategy = free_port(), request.param
    api = {"token": Api(AUDIENCE, house.clock.now(), "Token app", {"read": "Read"})}
    if house.thread.call(house.store.api(AUDIENCE)):
        api = {}
    env = registered(
        house,
        f"token-app-{strategy}",
        apis=api,
        redirect_uris=(f"http://127.0.0.1:{port}/callback",),
        default_audience=AUDIENCE,
        refresh_strategy=strategy,
    )
    with serving("token_app", "--port", port, env={**env, "AUDIENCE": AUDIENCE}) as http:
        opened = Page(house, http)
        yield opened
        opened.browser.http.close()


def test_c3_a_refresh_token_in_the_payload_renews_silently(page: Page) -> None:
    pair = page.sign_in()
    assert page.me(pair["accessToken"]).json()["sub"] == page.detent.user("test").subject
    page.http.cookies.clear()  # nothing but the payload counts
    for _ in range(3):
        answer = page.renew(pair["refreshToken"])
        assert (answer.status_code, list(answer.json())) == (200, ["accessToken", "refreshToken", "expiresIn"])
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json()["accessToken"] != pair["accessToken"]
        pair = answer.json()
        assert page.me(pair["accessToken"]).status_code == 200


@pytest.mark.parametrize("page", ["unique_claim", "short_lived"], indirect=True)
def test_c1_the_app_signs_in_by_code_and_gets_two_jwts(page: Page) -> None:
    asked = httpx.URL(page.http.get("/api/auth/login").headers["location"])
    assert asked.params["code_challenge_method"] == "S256"
    assert {"state", "nonce", "code_challenge"} <= set(asked.params)
    pair = page.sign_in()
    assert [pair[name].count(".") for name in ("accessToken", "refreshToken")] == [2, 2]


@pytest.mark.parametrize("page", ["unique_claim"], indirect=True)
def test_c8_a_token_that_is_not_the_saved_one_is_401(page: Page) -> None:
    first = page.sign_in()
    second = page.renew(first["refreshToken"]).json()
    spent = page.renew(first["refreshToken"])
    assert (spent.status_code, spent.json()) == (401, {"error": "invalid_grant"})
    later = page.sign_in()
    assert page.renew(second["refreshToken"]).status_code == 401, "another sign-in has replaced it"
    assert page.renew(later["refreshToken"]).status_code == 200


@pytest.mark.parametrize("wrong", ["garbage", "a.b.c", "x" * 50_000])
def test_c3_what_is_no_refresh_token_is_refused_and_an_access_token_is_none(page: Page, wrong: str) -> None:
    pair = page.sign_in()
    assert page.renew(wrong).status_code == 401
    assert page.renew(pair["accessToken"]).status_code == 401
    assert page.me(pair["refreshToken"]).status_code == 401
    bare = page.http.post("/api/auth/token", json={})
    assert (bare.status_code, bare.json()) == (400, {"error": "The body needs, as strings: refreshToken"})


def test_c2_the_refresh_token_outlives_the_access_token(page: Page) -> None:
    pair = page.sign_in()
    page.detent.clock.advance(pair["expiresIn"])
    try:
        assert page.renew(pair["refreshToken"]).status_code == 200
    finally:
        page.detent.clock.advance(-pair["expiresIn"])
    assert pair["expiresIn"] in (10 * MINUTE, HOUR)


@pytest.mark.parametrize("page", ["family", "unique_claim"], indirect=True)
def test_c5_signing_out_of_the_app_kills_the_refresh_token(page: Page) -> None:
    pair = page.sign_in()
    assert page.logout(pair["refreshToken"]).json() == {"message": "Signed out"}
    assert page.renew(pair["refreshToken"]).status_code == 401
    assert page.logout(pair["refreshToken"]).status_code == 200, "twice is as good as once"


@pytest.mark.parametrize("page", ["short_lived"], indirect=True)
def test_c9_the_app_says_that_a_stateless_token_cannot_be_revoked(page: Page) -> None:
    pair = page.sign_in()
    told = page.logout(pair["refreshToken"])
    assert told.status_code == 409
    assert f"ends by itself in {HOUR} seconds" in told.json()["error"]
    page.detent.clock.advance(DAY)
    try:
        assert page.renew(pair["refreshToken"]).status_code == 401
    finally:
        page.detent.clock.advance(-DAY)


def test_c3_an_answer_of_somebody_elses_sign_in_is_refused(page: Page) -> None:
    """Login CSRF: the code is good, but this browser asked for nothing."""
    url = page.granted()
    page.http.cookies.clear()
    refused = page.callback(url)
    assert refused.status_code == 400
    assert "accessToken" not in refused.text
    page.http.get("/api/auth/login")  # has asked, with another state
    assert page.callback(url).status_code == 400


def test_c3_what_the_server_refuses_is_told_without_its_words(page: Page) -> None:
    asked = httpx.URL(page.http.get("/api/auth/login").headers["location"])
    came = {"state": asked.params["state"], "error": "access_denied", "error_description": "<b>call 555</b>"}
    answer = page.http.get("/api/auth/callback", params=came)
    assert (answer.status_code, answer.json()) == (403, {"error": "access_denied"})


def test_c3_the_page_is_locked_and_the_cookie_is_no_token(page: Page) -> None:
    for path in ("/", "/callback", "/token_app.js"):
        answer = page.http.get(path)
        assert answer.status_code == 200
        assert "script-src 'self'" in answer.headers["content-security-policy"]
    cookie = page.http.get("/api/auth/login").headers["set-cookie"]
    assert {"httponly", "samesite=lax"} <= set(cookie.lower().split("; "))
