"""The sign-up page (Initiating User Registration via OpenID Connect 1.0): an account, a session, and on to the app."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.test_r_authorize import assert_told
from tests.browsing import Browser, Page
from tests.mission.test_a_tokens import claims_of
from tests.pages.test_login import field, title
from tests.serving import Detent, running

PASSWORD = "a long password"


@pytest.fixture(scope="module")
def detent(tmp_path_factory: pytest.TempPathFactory, keys_folder: Path) -> Iterator[Detent]:
    with running(tmp_path_factory.mktemp("open"), keys_folder, sign_up=True) as served:
        yield served


def sign_up(browser: Browser, page: Page, username: str, **fields: str) -> Page:
    return browser.press(page, "sign-up", **{"username": username, "password": PASSWORD, **fields})


def test_prompt_create_4_1_the_app_gets_the_person_who_made_an_account(detent: Detent) -> None:
    with Browser(detent) as browser:
        page = browser.authorize(prompt="create", login_hint="grace")
        assert (page.path, title(page)) == ("/sign-up", "Create an account")
        assert 'value="grace"' in field(page, "username")
        assert "autofocus" in field(page, "password")
        page = sign_up(browser, page, "grace", name="Grace Hopper", email="grace@example.com")
        assert page.path == "/consent"
        tokens = detent.redeem("spa", browser.allow(page).answer["code"]).json()
    told = claims_of(tokens["id_token"])
    assert (told["amr"], told["auth_time"]) == (["pwd"], detent.clock.now())
    assert (told["preferred_username"], told["name"]) == ("grace", "Grace Hopper")
    assert (told["email"], told["email_verified"]) == ("grace@example.com", False)
    assert told["sub"] == detent.user("grace").subject
    with Browser(detent) as another:
        assert "code" in another.log_in(another.authorize(), "grace", PASSWORD).answer, "the account is there"


def test_the_audit_log_tells_who_made_an_account(detent: Detent) -> None:
    with Browser(detent) as browser:
        assert sign_up(browser, browser.open("/sign-up"), "told").path == "/account"
    subject = detent.user("told").subject
    told = detent.thread.call(detent.house.outside.directory.events(about=subject))
    (event,) = (each for _, each in told if each.name == "user_added")
    assert (event.reason, event.network) == ("signed up", "127.0.0.0/24")
    assert event.support_id


def test_prompt_create_4_1_whoever_is_signed_in_is_shown_the_page_and_replaced(detent: Detent) -> None:
    with Browser(detent) as browser:
        browser.sign_in()
        page = browser.authorize(prompt="create")
        assert page.texts["why"].startswith("You are signed in as test.")
        assert sign_up(browser, page, "second").path == "/consent"
        assert "<bdi>second</bdi>" in browser.open("/account").text
        assert browser.authorize(prompt="create").path == "/sign-up", "each request asks anew"


def test_whoever_has_an_account_goes_on_with_it_instead(detent: Detent) -> None:
    with Browser(detent) as browser:
        page = follow(browser, browser.authorize(prompt="create"), "sign-in")
        assert page.path == "/login"
        assert "code" in browser.allow(browser.log_in(page)).answer
        page = follow(browser, browser.authorize(prompt="create"), "sign-in")
        assert "code" in browser.press(page, "continue").answer


def test_the_sign_in_page_leads_there_and_on_to_the_app(detent: Detent) -> None:
    with Browser(detent) as browser:
        page = follow(browser, browser.authorize(), "create-account")
        assert "code" in browser.allow(sign_up(browser, page, "newcomer")).answer
        assert "create-account" not in browser.authorize(prompt="login").texts, "one who is known is asked for"
        assert "create-account" in browser.authorize(prompt="select_account").texts


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"username": "test"}, "This username is taken. Choose another one, or sign in if the account is yours."),
        ({"username": "ＴＥＳＴ"}, "This username is taken. Choose another one, or sign in if the account is yours."),
        ({"username": "a b"}, "A username is made of letters"),
        ({"username": ""}, "A username has 1 to 128 characters."),
        ({"password": ""}, "A password has 1 to 4096 bytes"),
        ({"password": "a\tbcdefgh"}, "A password has 1 to 4096 bytes"),
        ({"password": "1234567"}, "A password has at least 8 characters."),
        ({"email": "nowhere"}, "An email address looks like name@example.com."),
        ({"email": "a@" + "b" * 300}, "An email address looks like name@example.com."),
    ],
)
def test_what_cannot_be_says_what_to_change_and_keeps_the_rest(
    detent: Detent, change: dict[str, str], message: str
) -> None:
    given = {"username": "careful", "password": PASSWORD, "name": 'A "quoted" name', "email": "c@example.com"} | change
    with Browser(detent) as browser:
        page = browser.press(browser.authorize(prompt="create"), "sign-up", **given)
        assert (page.status, page.path) == (422, "/sign-up")
        assert page.texts["message"].startswith(message)
        assert title(page) == "Error: Create an account"
        kept = page.forms[0]["fields"]
        assert [kept[name] for name in ("username", "name", "email")] == [
            given[name] for name in ("username", "name", "email")
        ]
        assert kept["password"] == ""
        assert browser.open("/account").path == "/login", "nobody is signed in"
    assert detent.thread.call(detent.house.people.named("careful")) is None


def test_rfc6749_4_1_2_1_cancel_is_access_denied(detent: Detent) -> None:
    with Browser(detent) as browser:
        assert_told(detent, browser.press(browser.authorize(prompt="create"), "cancel"), "access_denied")


def test_who_is_signed_in_and_typed_the_address_has_an_account(detent: Detent) -> None:
    with Browser(detent) as browser:
        browser.sign_in()
        assert browser.open("/sign-up").path == "/account"


@pytest.mark.parametrize("prompt", ["create none", "login create", "create consent", "select_account create"])
def test_prompt_create_4_1_it_stands_alone(detent: Detent, prompt: str) -> None:
    with Browser(detent) as browser:
        assert_told(detent, browser.authorize(prompt=prompt), "invalid_request")


def test_prompt_create_4_1_where_nobody_may_sign_up_it_is_refused_and_there_is_no_page(standing: Detent) -> None:
    with Browser(standing) as browser:
        page = browser.authorize(prompt="create")
        assert_told(standing, page, "invalid_request")
        assert "prompt can hold none, login, consent, select_account" in page.answer["error_description"]
        assert "create-account" not in browser.authorize().texts
        assert browser.open("/sign-up").status == 404
        posted: Any = browser.http.post("/sign-up", data={"username": "x", "password": "y"})
        assert posted.status_code == 404


def follow(browser: Browser, page: Page, link: str) -> Page:
    """Follow the link with this id."""
    address = page.text.partition(f'id="{link}" href="')[2].partition('"')[0]
    return browser.open(f"/{address}")
