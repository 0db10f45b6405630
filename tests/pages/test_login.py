"""The sign-in page: who asks, why again, what is filled in, and what to do when it did not work."""

from pathlib import Path

import pytest

from detent.core.ids import Seconds
from detent.core.policy import MINUTE
from detent.identity.throttle import Allowance, Allowances
from tests.attacks.test_r_authorize import assert_told
from tests.browsing import Browser, Page
from tests.serving import Detent, running

pytestmark = pytest.mark.quick


def field(page: Page, name: str) -> str:
    """The tag of this field."""
    return page.text[page.text.index(f'<input id="{name}"') :].partition(">")[0]


def title(page: Page) -> str:
    return page.text.partition("<title>")[2].partition("</title>")[0]


def test_the_first_thing_to_do_has_the_focus(standing: Detent) -> None:
    with Browser(standing) as browser:
        page = browser.authorize()
        assert "autofocus" in field(page, "username")
        assert "autofocus" not in field(page, "password")
        hinted = browser.authorize(login_hint="ada@example.com")
        assert 'value="ada@example.com"' in field(hinted, "username")
        assert "autofocus" in field(hinted, "password")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"prompt": "login"}, "For your safety, please sign in again."),
        ({"max_age": "0"}, "You signed in a while ago. Please confirm that it is you."),
    ],
)
def test_oidc_core_3_1_2_1_whoever_is_to_be_seen_again_is_told_why(
    standing: Detent, change: dict[str, str], why: str
) -> None:
    with Browser(standing) as browser:
        browser.sign_in()
        page = browser.authorize(**change)
        assert page.texts["why"] == why
        assert "continue" not in page.buttons, "the password is asked for"
        assert 'value="test"' in field(page, "username")
        assert "autofocus" in field(page, "password")
        hinted = browser.authorize(**change, login_hint="ada")
        assert 'value="ada"' in field(hinted, "username"), "the app knows better"


def test_oidc_core_3_1_2_1_a_hint_at_another_person_is_told(standing: Detent) -> None:
    with Browser(standing) as browser, Browser(standing) as hers:
        browser.sign_in()
        page = browser.authorize(id_token_hint=hers.tokens(username="ada")["id_token"])
        assert "another account" in page.texts["why"]
        assert "continue" not in page.buttons
        assert 'value=""' in field(page, "username")
        assert "code" in browser.allow(browser.log_in(page, "ada", "lovelace")).answer


def test_oidc_core_3_1_2_1_select_account_offers_who_is_signed_in_and_asks_nothing_more(standing: Detent) -> None:
    with Browser(standing) as browser:
        assert "continue" not in browser.authorize(prompt="select_account").buttons, "nobody is signed in"
        browser.sign_in()
        page = browser.authorize(prompt="select_account")
        assert page.texts["continue"] == "Continue as test"
        assert "code" in browser.press(page, "continue").answer


@pytest.mark.parametrize("change", [{"prompt": "login"}, {"max_age": "0"}, {"prompt": "login select_account"}])
def test_attack_r15_a_button_that_was_not_offered_signs_nobody_in(standing: Detent, change: dict[str, str]) -> None:
    with Browser(standing) as browser:
        browser.sign_in()
        page = browser.press(browser.authorize(**change), "login", login=None, **{"continue": "yes"})
        assert "location" not in page.response.headers
        assert "password" in page.forms[0]["fields"]


def test_a_wrong_password_says_what_to_do_and_keeps_the_name(standing: Detent) -> None:
    with Browser(standing) as browser:
        page = browser.log_in(browser.authorize(), "test", "wrong")
        assert page.status == 422
        assert title(page).startswith("Error: Sign in to")
        assert page.texts["message"] == "The username or the password is wrong. Check both and try again."
        assert 'role="alert" id="message"' in page.text
        for name in ("username", "password"):
            assert 'aria-describedby="message" aria-invalid="true"' in field(page, name)
        assert 'value="test"' in field(page, "username")
        assert "value=" not in field(page, "password")
        assert "autofocus" in field(page, "password")
        assert "code" in browser.allow(browser.log_in(page)).answer, "the same page goes on"


@pytest.mark.parametrize(("refill", "wait"), [(Seconds(MINUTE), "60 seconds"), (Seconds(90 * MINUTE), "90 minutes")])
def test_too_many_failures_are_told_with_how_long_to_wait(
    tmp_path: Path, keys_folder: Path, refill: Seconds, wait: str
) -> None:
    allowances = Allowances(account_here=Allowance(1, refill))
    with running(tmp_path, keys_folder, allowances=allowances) as house, Browser(house) as browser:
        page = browser.log_in(browser.authorize(), "test", "wrong")
        page = browser.log_in(page)
        assert page.status == 429
        assert page.response.headers["retry-after"] == str(refill)
        assert f"Try again in {wait}, or" in page.texts["message"]
        house.clock.advance(refill)
        assert "code" in browser.allow(browser.log_in(page)).answer


def test_rfc6749_4_1_2_1_cancel_is_access_denied(standing: Detent) -> None:
    with Browser(standing) as browser:
        assert_told(
            standing, browser.press(browser.authorize(), "cancel", username=None, password=None), "access_denied"
        )


def test_on_the_way_to_the_account_there_is_nobody_to_cancel_for(standing: Detent) -> None:
    with Browser(standing) as browser:
        page = browser.open("/login")
        assert "cancel" not in page.buttons
        refused = browser.press(page, "login", login=None, cancel="yes")
        assert (refused.status, refused.error) == (403, "access_denied")
        page = browser.log_in(page)
        assert (page.path, page.status) == ("/account", 200)
        assert browser.open("/login").path == "/account", "who is signed in is sent on"


def test_an_answer_that_the_person_loads_again_is_still_theirs(standing: Detent) -> None:
    """Fetch Metadata: `none` is what no other site can cause."""
    with Browser(standing) as browser:
        page = browser.authorize()
        content = {**page.forms[0]["fields"], "username": "test", "password": "wrong"}
        assert browser.http.post("/login", data=content, headers={"sec-fetch-site": "none"}).status_code == 422


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{}", "application/json", 415),
        (b"username=a", "text/plain", 415),
        (b"csrf=a&csrf=a", "application/x-www-form-urlencoded", 400),
        (b"username=%ff", "application/x-www-form-urlencoded", 400),
    ],
)
def test_only_well_made_forms_are_read(standing: Detent, content: bytes, kind: str, status: int) -> None:
    with Browser(standing) as browser:
        browser.authorize()
        page = Page(browser.http.post("/login", content=content, headers={"content-type": kind}))
        assert (page.status, page.error) == (status, "invalid_request")


def test_a_browser_without_cookies_is_told_so(standing: Detent) -> None:
    with Browser(standing) as browser, Browser(standing) as bare:
        page = bare.press(browser.authorize(), "login", username="test", password="test")
        assert page.status == 403
        assert "Allow cookies for this site" in page.text
