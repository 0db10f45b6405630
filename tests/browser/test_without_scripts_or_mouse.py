"""Everything a person does on our pages, with JavaScript off, and by keyboard alone."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page

from tests.browser.apps import registered
from tests.browser.people import Browse
from tests.browser.site import MakeSite, Site
from tests.browsing import Browser, request_of
from tests.serving import Detent


@pytest.fixture
def app(detent: Detent, site: MakeSite) -> Site:
    served = site()
    registered(detent, served)
    served.pages["/callback"] = served.pages["/bye"] = "<!doctype html><title>The app</title><p id=app>The app</p>"
    return served


def ask(detent: Detent, app: Site, page: Page, **change: Any) -> None:
    request = request_of("demo", redirect_uri=app.url + "callback", **change)
    page.goto(str(detent.http.build_request("GET", "/authorize", params=request).url))


def answer_at(page: Page, app: Site) -> dict[str, str]:
    page.wait_for_url(f"{app.url}callback?**")
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


class Mouse:
    """Without scripts."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def fill(self, username: str, password: str) -> None:
        self.page.fill("#username", username)
        self.page.fill("#password", password)

    def press(self, selector: str) -> None:
        """Every button of ours leads to another page, which is then there."""
        with self.page.expect_navigation():
            self.page.click(selector)

    def submit(self) -> None:
        self.press("#login")


class Keyboard:
    """Tab, Enter and typing, and nothing else; what has the focus is asked of the page."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def fill(self, username: str, password: str) -> None:
        self._reach("#username")
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type(username)
        self._reach("#password")
        self.page.keyboard.type(password)

    def press(self, selector: str) -> None:
        self._reach(selector)
        self.submit()

    def submit(self) -> None:
        """Enter in the last field: it must sign in and not cancel."""
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def _reach(self, selector: str) -> None:
        wanted = self.page.locator(selector).first
        for _ in range(60):
            if wanted.evaluate("element => element === document.activeElement"):
                visible = "element => getComputedStyle(element).outlineStyle !== 'none'"
                assert wanted.evaluate(visible), f"{selector} has the focus and does not show it"
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"{selector} cannot be reached with the Tab key")


Hands = Mouse | Keyboard


@pytest.fixture(params=["without scripts", "by keyboard"])
def hands(request: pytest.FixtureRequest, detent: Detent, app: Site, browse: Browse) -> Hands:
    if request.param == "by keyboard":
        return Keyboard(browse(troubles="status of 4"))
    return Mouse(browse(scripts=False, troubles="status of 4"))


def test_signing_in_allowing_and_signing_out(detent: Detent, app: Site, hands: Hands) -> None:
    page = hands.page
    ask(detent, app, page)
    hands.fill("test", "wrong")
    hands.submit()
    page.wait_for_selector("[role=alert]")
    hands.fill("test", "test")
    hands.submit()
    page.wait_for_selector("#consent-accept")
    hands.press("#consent-accept")
    assert "code" in answer_at(page, app)

    page.goto(f"{detent.issuer}oidc/logout?client_id=demo&post_logout_redirect_uri={app.url}bye")
    hands.press("#logout-cancel")
    page.wait_for_url("**/account")
    page.goto(f"{detent.issuer}oidc/logout?client_id=demo&post_logout_redirect_uri={app.url}bye")
    hands.press("#logout-confirm")
    page.wait_for_url(app.url + "bye")


def test_saying_no(detent: Detent, app: Site, hands: Hands) -> None:
    page = hands.page
    ask(detent, app, page)
    hands.press("#cancel")
    assert answer_at(page, app)["error"] == "access_denied"
    ask(detent, app, page)
    hands.fill("test", "test")
    hands.submit()
    page.wait_for_selector("#consent-deny")
    hands.press("#consent-deny")
    assert answer_at(page, app)["error"] == "access_denied"


def test_choosing_an_account(detent: Detent, app: Site, hands: Hands) -> None:
    page = hands.page
    ask(detent, app, page)
    hands.fill("test", "test")
    hands.submit()
    hands.press("#consent-accept")
    answer_at(page, app)
    ask(detent, app, page, prompt="select_account")
    hands.press("#continue")
    assert "code" in answer_at(page, app)
    ask(detent, app, page, prompt="select_account")
    hands.fill("ada", "lovelace")
    hands.submit()
    page.wait_for_selector("#consent-accept")


def test_looking_after_the_account(detent: Detent, app: Site, hands: Hands) -> None:
    page = hands.page
    with Browser(detent) as elsewhere:
        stays = elsewhere.tokens("app", scope="openid read offline_access")
        page.goto(detent.issuer + "account")
        hands.fill("test", "test")
        hands.submit()
        page.wait_for_selector("#devices")
        assert page.locator("#devices > li").count() == 2
        hands.press("[name=end-app]")
        page.wait_for_url("**/account")
        assert detent.refresh("app", stays["refresh_token"]).json()["error"] == "invalid_grant"
        hands.press("[name=withdraw]")
        page.wait_for_selector("#allowed", state="detached")
        hands.press("#sign-out-others")
        page.wait_for_selector("#sign-out-others", state="detached")
        assert elsewhere.authorize("spa", prompt="none").answer["error"] == "login_required"
    assert page.locator("#devices > li").count() == 1
    hands.press("#sign-out-all")
    page.wait_for_url("**/signed-out")
    page.goto(detent.issuer + "account")
    page.wait_for_selector("#username")


def test_form_post_goes_on_with_a_button(detent: Detent, app: Site, browse: Browse) -> None:
    page = browse(scripts=False, troubles="status of 405")
    ask(detent, app, page, response_mode="form_post")
    page.fill("#username", "test")
    page.fill("#password", "test")
    page.click("#login")
    page.click("#consent-accept")
    with page.expect_request(app.url + "callback") as posted:
        page.click("#continue")
    assert posted.value.method == "POST"
    assert "code=dtac_" in (posted.value.post_data or "")


def test_form_post_goes_on_by_itself_where_scripts_run(detent: Detent, app: Site, browse: Browse) -> None:
    page = browse(troubles="status of 405")  # the app's pages here are files, which take no POST
    ask(detent, app, page, response_mode="form_post")
    page.fill("#username", "test")
    page.fill("#password", "test")
    page.click("#login")
    with page.expect_request(app.url + "callback") as posted:
        page.click("#consent-accept")
    assert posted.value.method == "POST"
