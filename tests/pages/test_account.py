"""The account page: my devices and the apps on them, what I allowed, what was ended for my safety, and its buttons."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from urllib.parse import quote

import pytest
from msgspec.structs import replace

from detent.core.changes import ReplaceClient
from detent.core.ids import Seconds
from detent.core.policy import DAY, HOUR
from detent.core.session import SessionPolicy
from tests.browsing import Browser, Page
from tests.serving import Detent, running

PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 "
    "Mobile/15E148 Safari/604.1"
)


class People:
    """Ada with a laptop and a phone."""

    def __init__(self, detent: Detent, open_browsers: ExitStack) -> None:
        self.detent = detent
        self.laptop = open_browsers.enter_context(Browser(detent))
        self.phone = open_browsers.enter_context(Browser(detent, PHONE))

    def tokens(self, browser: Browser, client: str = "spa", scope: str = "openid read") -> str:
        token: str = browser.tokens(client, "ada", scope=scope)["refresh_token"]
        return token

    def account(self) -> Page:
        page = self.laptop.open("/account")
        return self.laptop.log_in(page, "ada", "lovelace") if page.path == "/login" else page

    def lives(self, refresh_token: str, client: str = "spa") -> bool:
        return self.detent.refresh(client, refresh_token).status_code == 200

    def is_in(self, browser: Browser) -> bool:
        return "code" in browser.authorize(prompt="none", scope="openid read").answer


@pytest.fixture
def ada(standing: Detent) -> Iterator[People]:
    """In one house, a long time after the test before: nobody is signed in any more, and nothing is allowed."""
    standing.clock.advance(200 * DAY)
    subject = standing.user("ada").subject
    for each in standing.thread.call(standing.house.outside.directory.consents(subject)):
        standing.thread.call(standing.house.consents.withdraw(subject, each.client_id, standing.clock.now()))
    with ExitStack() as stack:
        yield People(standing, stack)


def told(page: Page, list_id: str) -> str:
    """What a list says, on one line."""
    section = page.text.partition(f'id="{list_id}">')[2].partition("</section>")[0]
    text = re.sub(r"</?(?:bdi|time|span)[^>]*>", "", section)
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())


def values(page: Page, name: str) -> list[str]:
    return re.findall(rf'<button name="{name}" value="([^"]*)"', page.text)


def test_oidcc_core_4_an_app_that_says_where_it_begins_a_sign_in_is_a_link_there_that_tells_nothing_of_the_person(
    ada: People,
) -> None:
    ada.tokens(ada.laptop)
    assert 'href="https://' not in ada.account().text
    spa = ada.detent.thread.call(ada.detent.store.client("spa"))
    extra = {"initiate_login_uri": "https://spa.example/start?tenant=1&iss=other"}
    ada.detent.apply(ReplaceClient(replace(spa, extra=extra, version=spa.version + 1)))
    links = re.findall(r'href="(https://[^"]*)"', ada.account().text)
    issuer = quote(ada.detent.issuer, safe="")
    assert [unescape(link) for link in links] == [f"https://spa.example/start?tenant=1&iss={issuer}"] * 2
    ada.detent.apply(ReplaceClient(replace(spa, version=spa.version + 2)))


def test_devices_with_their_apps_the_present_one_first_and_marked(ada: People) -> None:
    ada.tokens(ada.phone)
    ada.tokens(ada.phone, "app", "openid read offline_access")
    ada.detent.clock.advance(2 * HOUR)
    page = ada.account()
    here, phone = told(page, "devices").split("Safari on iOS")
    assert "Chrome on Linux This device Signed in just now from this computer, last used just now" in here
    assert "Signed in 2 hours ago from this computer, last used 2 hours ago" in phone
    assert "spa First used 2 hours ago, last 2 hours ago" in phone
    assert "app First used" in phone
    assert "First used" not in here
    then = datetime.fromtimestamp(ada.detent.clock.now(), UTC) - timedelta(hours=2)
    assert f'<time datetime="{then:%Y-%m-%dT%H:%M:%SZ}" title="{then.day} {then:%B %Y, %H:%M} UTC">2 hours' in page.text
    assert "Ada Lovelace" in page.text


def test_sign_out_of_one_device_ends_all_that_began_there_and_nothing_else(ada: People) -> None:
    there = ada.tokens(ada.phone), ada.tokens(ada.phone, "app", "openid read offline_access")
    here = ada.tokens(ada.laptop)
    page = ada.account()
    phone = values(page, "sign-out")[1]
    after = ada.laptop.press(page, "sign-out", **{"sign-out": phone})
    assert [each.status_code for each in ada.laptop.passed[-2:]] == [303, 200]
    assert after.path == "/account"
    assert len(values(after, "sign-out")) == 1
    assert not ada.is_in(ada.phone)
    assert [ada.lives(there[0]), ada.lives(there[1], "app"), ada.lives(here)] == [False, False, True]


def test_sign_out_of_this_device_says_so(ada: People) -> None:
    ada.tokens(ada.phone)
    page = ada.account()
    after = ada.laptop.press(page, "sign-out", **{"sign-out": values(page, "sign-out")[0]})
    assert after.path == "/signed-out"
    assert not ada.is_in(ada.laptop)
    assert ada.is_in(ada.phone)


@pytest.mark.parametrize(("button", "stays"), [("sign-out-others", True), ("sign-out-all", False)])
def test_sign_out_everywhere_reaches_apps_without_a_device_too(ada: People, button: str, stays: bool) -> None:
    offline = ada.tokens(ada.phone, "app", "openid read offline_access")
    ada.phone.press(ada.phone.open("/logout"), "logout-confirm")
    here = ada.tokens(ada.laptop)
    after = ada.laptop.press(ada.account(), button)
    assert after.path == ("/account" if stays else "/signed-out")
    assert ada.is_in(ada.laptop) is stays
    assert ada.lives(here) is stays
    assert not ada.lives(offline, "app")


def test_an_app_that_outlives_its_device_is_listed_and_can_be_ended(ada: People) -> None:
    offline = ada.tokens(ada.phone, "app", "openid read offline_access")
    ada.phone.press(ada.phone.open("/logout"), "logout-confirm")
    page = ada.account()
    assert "app First used just now" in told(page, "elsewhere")
    assert "sign-out-others" in page.buttons
    after = ada.laptop.press(page, "end-app")
    assert "elsewhere" not in after.texts
    assert not ada.lives(offline, "app")


def test_a_session_that_is_over_is_no_device(tmp_path: Path, keys_folder: Path) -> None:
    policy = SessionPolicy(idle=Seconds(HOUR), absolute=Seconds(DAY))
    with running(tmp_path, keys_folder, session_policy=policy) as house, ExitStack() as stack:
        ada = People(house, stack)
        ada.tokens(ada.phone)
        house.clock.advance(HOUR)
        page = ada.account()
        assert len(values(page, "sign-out")) == 1
        assert values(page, "end-app") == [], "what lived by it is over too"


def test_withdrawing_ends_the_app_and_it_has_to_ask_again(ada: People) -> None:
    offline = ada.tokens(ada.phone, "app", "openid read offline_access")
    page = ada.account()
    assert told(page, "allowed") == (
        "app Allowed just now Withdraw Know who you are Keep access while you are away, until you withdraw it "
        "Read at Demo API"
    )
    after = ada.laptop.press(page, "withdraw")
    assert "You have not allowed any app yet." in after.text
    assert not ada.lives(offline, "app")
    assert ada.phone.authorize("app", scope="openid read").path == "/consent"


@pytest.mark.parametrize("button", ["sign-out", "end-app", "withdraw"])
@pytest.mark.parametrize("value", ["", "x", "spa", "é\u202e", "A" * 5000])
def test_what_is_not_there_is_not_ended_and_not_told_of(standing: Detent, button: str, value: str) -> None:
    with Browser(standing) as browser:
        page = browser.log_in(browser.open("/account"), "ada", "lovelace")
        standing.sink.events.clear()
        after = browser.press(page, "sign-out-all", **{"sign-out-all": None, button: value or None})
        assert after.status == (200 if value else 400)
        assert browser.open("/account").status == 200
        assert value not in str(standing.sink.events) or not value


@pytest.mark.parametrize("button", ["sign-out", "end-app"])
def test_nobody_ends_what_is_anothers(standing: Detent, button: str) -> None:
    with Browser(standing) as victim, Browser(standing) as attacker:
        token = victim.tokens("spa")["refresh_token"]
        aim = values(victim.open("/account"), button)[0]
        page = attacker.log_in(attacker.open("/account"), "ada", "lovelace")
        attacker.press(page, "sign-out-all", **{"sign-out-all": None, button: aim})
        assert standing.refresh("spa", token).status_code == 200
        assert "code" in victim.authorize(prompt="none").answer


@pytest.mark.parametrize("what", ["reuse", "suspect", "replay"])
def test_what_was_ended_for_safety_is_told_to_its_owner_for_thirty_days(ada: People, what: str) -> None:
    match what:
        case "reuse":
            token = ada.tokens(ada.phone)
            ada.detent.refreshed("spa", token)
            assert not ada.lives(token)
            said = "as a thief would do it. Everything that came of that sign-in was ended at once."
        case "suspect":
            token = first = ada.tokens(ada.phone, "cli", "openid read offline_access")
            for _ in range(3):
                token = ada.detent.refreshed("cli", token)["refresh_token"]
                ada.detent.clock.advance(HOUR)
            assert not ada.lives(first, "cli")
            said = "It was refused, and all of that sign-in ends the next time you sign in to the app."
        case _:
            code = ada.phone.sign_in("spa", "ada")["code"]
            assert ada.detent.redeem("spa", code).status_code == 200
            assert ada.detent.redeem("spa", code).status_code == 400
            said = "was presented twice from this computer. Everything that came of it was ended."
    trouble = told(ada.account(), "trouble")
    assert trouble.startswith("cli just now" if what == "suspect" else "spa just now")
    assert said in trouble
    with Browser(ada.detent) as other:
        assert "trouble" not in other.log_in(other.open("/account")).texts
    ada.detent.clock.advance(30 * DAY)
    assert "trouble" not in ada.account().texts


OFFLINE = "openid read offline_access"
ENDS: dict[str, tuple[Callable[[People, str], object], str]] = {
    "here": (lambda ada, token: ada.laptop.press(ada.account(), "end-app"), "app Ended just now You signed it out"),
    "consent": (lambda ada, token: ada.laptop.press(ada.account(), "withdraw"), "You withdrew what it was allowed"),
    "app": (lambda ada, token: ada.detent.revoke(token, "app"), "app Ended just now The app signed you out itself."),
    "operator": (
        lambda ada, token: ada.detent.thread.call(
            ada.detent.house.sessions.sign_out(ada.detent.user("ada").subject, ada.detent.clock.now(), by="operator")
        ),
        "app Last used just now The people who run this server signed it out.",
    ),
    "password": (
        lambda ada, token: ada.detent.thread.call(
            ada.detent.house.people.set_password(ada.detent.user("ada").subject, "lovelace")
        ),
        "app Last used just now Your password was set anew or your account was locked, so everything was signed out.",
    ),
    "idle": (
        lambda ada, token: ada.detent.clock.advance(31 * DAY),
        "app Ended 1 day ago It was not used for a long time",
    ),
}


@pytest.mark.parametrize("how", ENDS)
def test_why_an_app_was_signed_out_is_told_to_its_owner_for_thirty_days(ada: People, how: str) -> None:
    end, said = ENDS[how]
    token = ada.tokens(ada.laptop, "app", OFFLINE)
    assert "ended" not in ids(ada.account())
    end(ada, token)
    assert not ada.lives(token, "app")
    page = ada.account()
    assert said in told(page, "ended")
    assert "127.0.0" not in told(page, "ended")
    assert "trouble" not in ids(page)
    with Browser(ada.detent) as other:
        assert "app" not in told(other.log_in(other.open("/account")), "ended")
    ada.detent.clock.advance(30 * DAY)
    assert "app" not in told(ada.account(), "ended")


def test_why_a_device_was_signed_out_is_told_and_each_reason_once(ada: People) -> None:
    for _ in range(2):
        ada.tokens(ada.phone)
        ada.phone.press(ada.phone.open("/logout"), "logout-confirm")
    assert told(ada.account(), "ended").count("Safari on iOS") == 1
    assert "spa Last used just now You signed out." in told(ada.account(), "ended")
    ada.account()
    ada.detent.clock.advance(4 * DAY)
    assert "Chrome on Linux Ended 1 day ago It was not used for a long time, so it was signed out." in told(
        ada.account(), "ended"
    )


def ids(page: Page) -> set[str]:
    return set(re.findall(r'id="([a-z-]+)"', page.text))


def test_nothing_of_it_is_there_for_who_is_not_signed_in(standing: Detent) -> None:
    with Browser(standing) as browser:
        for page in (browser.open("/account"), browser.open("/"), browser.press(browser.open("/account"), "login")):
            assert page.path == "/login"
        assert browser.http.post("/account", data={"sign-out-all": "yes"}).headers["location"].startswith("login?")


def test_a_button_that_is_none_is_refused(standing: Detent) -> None:
    with Browser(standing) as browser:
        page = browser.log_in(browser.open("/account"))
        after = browser.press(page, "sign-out-all", **{"sign-out-all": None, "unknown": "yes"})
        assert (after.status, after.error) == (400, "invalid_request")


def test_apps_are_called_what_they_are_called_now(ada: People) -> None:
    ada.tokens(ada.laptop, "web")
    web = ada.detent.thread.call(ada.detent.store.client("web"))
    renamed = "\u202eMeadow\u200b  <b>Notes</b>"
    ada.detent.apply(ReplaceClient(replace(web, client_name=renamed, version=2)))
    page = ada.account()
    assert page.text.count("Meadow &lt;b&gt;Notes&lt;/b&gt;") >= 2
    assert "\u202e" not in page.text
