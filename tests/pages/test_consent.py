"""The consent page: who asks, for what, in words, what of it is new, and as whom one answers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from detent.core.changes import InsertClient
from tests.attacks.test_r_authorize import assert_told
from tests.browsing import Browser, Page
from tests.serving import API, REPORTS, Detent, client, running

pytestmark = pytest.mark.quick


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, keys_folder: Path) -> Iterator[Detent]:
    with running(tmp_path_factory.mktemp("consent"), keys_folder) as served:
        keys: Any = served.house.outside.keys
        links = {"policy_uri": "https://meadow.example/privacy", "tos_uri": "https://meadow.example/terms"}
        scope = ("read", "write", "reports")
        for name in ("meadow", "switch", "again"):
            served.apply(InsertClient(client(name, "web", keys, client_name="Meadow Notes", scope=scope, **links)))
        served.apply(InsertClient(client("ours", "web", keys, first_party=True)))
        yield served


def at_consent(browser: Browser, client: str, **change: Any) -> Page:
    page = browser.authorize(client, **change)
    page = browser.log_in(page) if page.path == "/login" else page
    assert page.path == "/consent", page.text[:300]
    return page


def said(page: Page) -> list[str]:
    """What is asked for now, line by line."""
    return [line.strip() for line in page.texts["asked"].split("\n") if line.strip()]


def test_it_says_who_asks_for_what_and_grouped_by_api(house: Detent) -> None:
    with Browser(house) as browser:
        scope = "openid profile email address phone offline_access read reports"
        page = at_consent(browser, "meadow", scope=scope, resource=[API, REPORTS])
        assert "<title>Allow Meadow Notes?</title>" in page.text
        assert said(page) == [
            "Know who you are",
            "See your name, picture and other profile details",
            "See your email address",
            "See your postal address",
            "See your phone number",
            "Keep access while you are away, until you withdraw it",
            "At Demo API",
            "Read",
            "At Reports",
            "Read",
            "See reports",
        ]
        for link in ("https://meadow.example/privacy", "https://meadow.example/terms", "account"):
            assert f'<a href="{link}"' in page.text
        assert "Signed in as <strong><bdi>test</bdi></strong>" in page.text


def test_once_allowed_it_is_not_asked_again_and_of_more_only_what_is_new(house: Detent) -> None:
    with Browser(house) as browser:
        assert "code" in browser.allow(at_consent(browser, "again", scope="openid read")).answer
        assert "code" in browser.authorize("again", scope="read openid").answer
        page = at_consent(browser, "again", scope="openid read write email")
        assert "This app asks for more" in page.text
        assert said(page) == ["See your email address", "At Demo API", "Write"]
        before = page.text.partition("<details>")[2].partition("</details>")[0]
        assert "Know who you are" in before
        assert "<bdi>Read</bdi>" in before
        assert "code" in browser.allow(page).answer
        confirm = at_consent(browser, "again", scope="openid write", prompt="consent")
        assert said(confirm) == ["Know who you are", "At Demo API", "Write"]
        assert "<details>" not in confirm.text


def test_rfc6749_4_1_2_1_no_is_access_denied_and_is_not_remembered(house: Detent) -> None:
    with Browser(house) as browser:
        page = at_consent(browser, "web")
        assert_told(house, browser.press(page, "consent-deny"), "access_denied")
        at_consent(browser, "web")


def test_whoever_is_not_this_person_can_switch_and_is_asked_themselves(house: Detent) -> None:
    with Browser(house) as browser:
        page = browser.press(at_consent(browser, "switch", scope="openid read"), "switch-account")
        assert page.path == "/login"
        assert page.texts["continue"] == "Continue as test"
        page = browser.log_in(page, "ada", "lovelace")
        assert page.path == "/consent"
        assert "Signed in as <strong><bdi>ada</bdi></strong>" in page.text
        tokens = house.redeem_as("switch", browser.press(page, "consent-accept").answer["code"]).json()
        me = house.http.get("/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"}).json()
        assert me["sub"] == house.user("ada").subject
        given = house.thread.call(house.house.outside.directory.consents(house.user("test").subject))
        assert "switch" not in [each.client_id for each in given]


def test_whoever_thinks_better_of_switching_goes_on_as_they_are(house: Detent) -> None:
    with Browser(house) as browser:
        page = browser.press(at_consent(browser, "switch", prompt="consent"), "switch-account")
        page = browser.press(page, "continue")
        assert page.path == "/consent"
        assert "code" in browser.press(page, "consent-accept").answer


def test_ones_own_app_asks_nobody(house: Detent) -> None:
    with Browser(house) as browser:
        assert "code" in browser.log_in(browser.authorize("ours")).answer
        given = house.thread.call(house.house.outside.directory.consents(house.user("test").subject))
        assert "ours" not in [each.client_id for each in given]
