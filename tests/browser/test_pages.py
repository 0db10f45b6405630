"""Every page a person sees: in both themes and on both screens, without a fault that axe-core knows, and pictured."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from playwright.sync_api import Page

from detent.core.changes import ReplaceClient
from detent.core.ids import ClientId
from tests.browser.looks import accessible, pictured
from tests.browser.people import Browse
from tests.browsing import Browser, request_of
from tests.serving import API, REPORTS, RETURN_URI, Detent, running

PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 "
    "Mobile/15E148 Safari/604.1"
)
LONG = "A name as long as somebody once gave to an app, without a single thought for the people who read it on a phone"


@pytest.fixture
def dressed(detent: Detent) -> Detent:
    """The browser app with all that it may show of itself."""
    found = detent.thread.call(detent.store.client("spa"))
    dress = {"client_name": "Meadow Notes", "client_uri": "https://meadow.example/", "version": 2}
    links = {"policy_uri": "https://meadow.example/privacy", "tos_uri": "https://meadow.example/terms"}
    detent.apply(ReplaceClient(replace(found, **dress, **links)))
    other = detent.thread.call(detent.store.client("app"))
    detent.apply(ReplaceClient(replace(other, client_name=LONG, version=2)))
    return detent


def at_authorize(detent: Detent, page: Page, client: str = "spa", **change: Any) -> None:
    """Blocked at the app's own origin, which nobody serves here: what matters is what we answer."""
    url = detent.http.build_request("GET", "/authorize", params=request_of(client, **change)).url
    page.goto(str(url))


def log_in(page: Page, password: str = "test") -> None:
    page.fill("#username", "test")
    page.fill("#password", password)
    onward(page, "#login")


def onward(page: Page, link: str) -> None:
    with page.expect_navigation():
        page.click(link)


def seen(page: Page, name: str) -> None:
    pictured(page, name)
    accessible(page)


def test_every_page_is_legible_to_everybody(dressed: Detent, browse: Browse) -> None:
    page = browse(troubles="422|429|403|400|404|ERR_CONNECTION_REFUSED|chrome-error")
    at_authorize(dressed, page)
    seen(page, "login")
    log_in(page, "wrong")
    seen(page, "login-wrong")
    log_in(page)
    seen(page, "consent")
    at_authorize(dressed, page, "app", resource=(API, REPORTS), scope="openid profile email read write offline_access")
    seen(page, "consent-long")
    at_authorize(dressed, page, prompt="select_account")
    seen(page, "login-choose")
    at_authorize(dressed, page, prompt="login")
    seen(page, "login-again")
    at_authorize(dressed, page, redirect_uri="https://evil.example/")
    seen(page, "error")
    page.goto(dressed.issuer + "nothing")
    seen(page, "not-found")


def test_the_sign_up_page_is_legible_to_everybody(tmp_path: Path, keys_folder: Path, browse: Browse) -> None:
    with running(tmp_path, keys_folder, sign_up=True) as open_to_all:
        page = browse(troubles="422|ERR_CONNECTION_REFUSED|chrome-error")
        at_authorize(open_to_all, page)
        seen(page, "login-or-sign-up")
        onward(page, "#create-account")
        seen(page, "sign-up")
        page.fill("#username", "test")
        page.fill("#password", "a long password")
        page.fill("#email", "grace@example.com")
        page.click("#sign-up")
        page.wait_for_selector("#message")
        seen(page, "sign-up-taken")
        page.fill("#username", "grace")
        page.fill("#password", "a long password")
        page.click("#sign-up")
        page.wait_for_selector("#consent-accept")
        at_authorize(open_to_all, page, prompt="create")
        seen(page, "sign-up-replaces")
        page.click("#sign-in")
        page.wait_for_selector("#continue")


def test_the_account_page_is_legible_to_everybody(dressed: Detent, browse: Browse) -> None:
    with Browser(dressed, PHONE) as elsewhere:
        stolen = elsewhere.tokens("spa", scope="openid read")
        dressed.refresh("spa", stolen["refresh_token"])
        dressed.refresh("spa", stolen["refresh_token"])
        elsewhere.tokens("app", resource=(API, REPORTS), scope="openid profile email read offline_access")
    dressed.clock.advance(3 * 3600)
    page = browse()
    page.goto(dressed.issuer)
    seen(page, "login-account")
    log_in(page)
    seen(page, "account")
    onward(page, "#sign-out-here")
    seen(page, "logout")
    onward(page, "#logout-confirm")
    seen(page, "signed-out")


def test_the_page_that_throttles_says_how_long(dressed: Detent, browse: Browse) -> None:
    page = browse(troubles="422|429")
    at_authorize(dressed, page)
    for _ in range(11):
        log_in(page, "wrong")
    seen(page, "login-throttled")
    assert "Try again in" in page.inner_text("[role=alert]")


def test_what_is_new_in_a_consent_stands_out(dressed: Detent, browse: Browse) -> None:
    dressed.thread.call(
        dressed.house.consents.allow(
            dressed.user("test").subject, ClientId("spa"), {"": ("openid",), API: ("read",)}, dressed.clock.now()
        )
    )
    page = browse()
    at_authorize(dressed, page, scope="openid email read write")
    log_in(page)
    page.click("summary")
    seen(page, "consent-more")


def test_the_app_asks_to_sign_out(dressed: Detent, browse: Browse) -> None:
    page = browse()
    page.goto(dressed.issuer)
    log_in(page)
    page.goto(f"{dressed.issuer}oidc/logout?client_id=spa&post_logout_redirect_uri={RETURN_URI}")
    seen(page, "logout-app")
