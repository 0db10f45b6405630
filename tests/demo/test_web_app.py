"""The demo web app over HTTP at a real house: signs in by Authlib, calls the API, refreshes, signs out."""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from detent.core.changes import InsertClient
from detent.core.policy import Overrides
from detent.demo.web_app import Seat, web_app
from detent.testing.server import Loopback, ServerThread
from tests.browsing import Browser, Page
from tests.serving import API, SECRET, Detent, client, trust

pytestmark = pytest.mark.slow


class App:
    """The app and one browser at it, whose cookies at the app and at the issuer are apart."""

    def __init__(self, detent: Detent, **overrides: Any) -> None:
        here = Loopback()
        self.origin = here.url.rstrip("/")
        registered: dict[str, Any] = {
            "redirect_uris": (f"{self.origin}/callback",),
            "post_logout_redirect_uris": (f"{self.origin}/signed-out",),
            "overrides": Overrides(**overrides),
        }
        keys: Any = detent.house.outside.keys
        detent.apply(InsertClient(client("demo-web", "web", keys, **registered)))
        app = web_app(self.origin, detent.issuer, str(detent.api.base_url), API, ("demo-web", SECRET))
        detent.thread.serve(app, here)
        self.detent = detent
        self.browser = Browser(detent)
        self.http = httpx.Client(base_url=self.origin, timeout=30, verify=trust())

    def close(self) -> None:
        self.browser.http.close()
        self.http.close()

    def sign_in(self, username: str = "test") -> httpx.Response:
        """All of it; the page that the person lands on."""
        return self.land(self.granted(username))

    def granted(self, username: str = "test") -> Page:
        """The issuer's answer to the app's request, before the browser follows it."""
        asked = self.http.get("/sign-in")
        page = self.browser.open(asked.headers["location"])
        if page.path == "/login":
            page = self.browser.log_in(page, username, self.detent.password_of(username))
        return self.browser.allow(page)

    def land(self, page: Page) -> httpx.Response:
        return self.http.get(page.location, follow_redirects=True)

    def press(self, path: str, **more: Any) -> httpx.Response:
        return self.http.post(path, headers={"origin": self.origin}, follow_redirects=True, **more)


@pytest.fixture
def app(detent: Detent) -> Iterator[App]:
    opened = App(detent)
    yield opened
    opened.close()


def shown(page: httpx.Response, element: str) -> str:
    found = re.search(rf'id="{element}"[^>]*>(.*?)</', page.text, re.S)
    return found[1] if found else ""


def test_it_signs_in_by_code_and_pkce_and_shows_who_is_there_and_no_token(app: App) -> None:
    asked = httpx.URL(app.http.get("/sign-in").headers["location"])
    assert asked.params["code_challenge_method"] == "S256"
    assert {"state", "nonce", "code_challenge"} <= set(asked.params)
    page = app.sign_in()
    assert shown(page, "who-name") == "Test Person"
    family = app.detent.thread.call(app.detent.house.outside.directory.families())[0]
    assert family.authorization.client_id == "demo-web"
    (cookie,) = (each.value or "" for each in app.http.cookies.jar)
    assert list(json.loads(base64.b64decode(cookie.partition(".")[0]))) == ["seat"]
    assert [prefix for prefix in ("dtrt_", "eyJ") if prefix in page.text] == []


def test_it_calls_the_api_with_a_token_that_the_browser_never_sees(app: App) -> None:
    app.sign_in()
    page = app.press("/call-api")
    assert (shown(page, "api-status"), "This is the secret area." in page.text) == ("200", True)


def test_it_refreshes_on_the_server_as_often_as_it_is_asked(app: App) -> None:
    app.sign_in()
    for times in range(1, 4):
        assert shown(app.press("/refresh"), "refreshes") == str(times)
    assert shown(app.press("/call-api"), "api-status") == "200"


def test_a_rotating_refresh_token_is_followed_too(detent: Detent) -> None:
    app = App(detent, rotating=True, overlap=0)
    app.sign_in()
    for times in range(1, 4):
        assert shown(app.press("/refresh"), "refreshes") == str(times)
    app.close()


def test_rp_initiated_logout_ends_the_session_there_and_the_tokens_here(app: App) -> None:
    app.sign_in()
    left = app.http.post("/sign-out", headers={"origin": app.origin})
    assert left.headers["location"].startswith(f"{app.detent.issuer}oidc/logout?")
    page = app.land(app.browser.open(left.headers["location"]))
    assert "You have signed out, here and at the server." in page.text
    assert shown(page, "who-name") == ""
    assert app.browser.open(app.http.get("/sign-in").headers["location"]).path == "/login"


def test_tokens_that_the_server_ended_are_gone_here_and_it_says_so(app: App) -> None:
    app.sign_in()
    subject = app.detent.user("test").subject
    app.detent.thread.call(app.detent.house.people.set_password(subject, "another password"))
    page = app.press("/refresh")
    assert (shown(page, "alert"), shown(page, "who-name")) == ("That did not work: invalid_grant.", "")


def test_cancelling_comes_back_with_the_code_of_the_error(app: App) -> None:
    page = app.browser.open(app.http.get("/sign-in").headers["location"])
    landed = app.land(app.browser.press(page, "cancel"))
    assert shown(landed, "alert") == "That did not work: access_denied."


def test_rfc6749_10_12_an_answer_that_nobody_here_asked_for_is_refused(app: App) -> None:
    for query in ("", "?code=x", "?state=x", "?code=x&state=x"):
        for path in ("/callback", "/signed-out"):
            page = app.http.get(path + query, follow_redirects=True)
            assert (page.status_code, shown(page, "alert")[:18]) == (200, "That did not work:"), path + query


def test_a_link_that_somebody_made_up_puts_no_words_on_the_page(app: App) -> None:
    words = "<b>Call 555</b>"
    page = app.http.get("/callback", params={"error": words, "error_description": words}, follow_redirects=True)
    assert shown(page, "alert") == "That did not work: an error."
    assert "555" not in page.text


def test_rfc6749_10_12_another_browsers_answer_signs_nobody_in(app: App) -> None:
    stolen = app.granted()
    with httpx.Client(base_url=app.origin) as victim:
        page = victim.get(stolen.location, follow_redirects=True)
    assert (shown(page, "alert")[:18], shown(page, "who-name")) == ("That did not work:", "")


FORMS = ("/refresh", "/call-api", "/sign-out")


def test_a_form_from_another_page_is_refused(app: App) -> None:
    app.sign_in()
    for origin in ("http://127.0.0.1:1", "null", None):
        headers = {"origin": origin} if origin else {}
        assert [app.http.post(path, headers=headers).status_code for path in FORMS] == [403, 403, 403], origin
    assert shown(app.http.get("/"), "refreshes") == "0"


def test_without_a_sign_in_a_form_leads_home(app: App) -> None:
    for path in FORMS:
        page = app.press(path)
        assert (page.status_code, str(page.url)) == (200, f"{app.origin}/"), path


def test_its_cookie_has_a_name_of_its_own_and_no_script_reads_it(app: App) -> None:
    cookie = app.http.get("/sign-in").headers["set-cookie"]
    assert cookie.startswith(f"demo_web_{httpx.URL(app.origin).port}=")
    assert "httponly" in cookie.lower()
    assert "samesite=lax" in cookie.lower()


def test_csp3_its_pages_run_no_script_and_send_forms_to_themselves_and_the_issuer(app: App) -> None:
    policy = app.http.get("/").headers["content-security-policy"]
    assert "script-src" not in policy
    assert "default-src 'none'" in policy
    assert f"form-action 'self' {app.detent.issuer.rstrip('/')}" in policy
    assert "frame-ancestors 'none'" in policy


def test_a_server_that_does_not_answer_is_said_in_a_sentence() -> None:
    issuer, here = Loopback(), Loopback()
    issuer.socket.close()
    with ServerThread() as thread:
        thread.serve(web_app(here.url.rstrip("/"), issuer.url, issuer.url, API, ("demo-web", SECRET)), here)
        page = httpx.get(f"{here.url}sign-in", follow_redirects=True)
    assert page.status_code == 200
    assert "No answer from" in shown(page, "alert")


def test_l1_what_it_holds_is_not_readable_as_text() -> None:
    assert "secret-token" not in repr(Seat({"access_token": "secret-token"}, {"sub": "someone"}))
