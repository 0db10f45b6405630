"""Paths, ids and names of the pages are public API: docs/pages.md and the real pages say the same."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from detent.core.changes import InsertClient
from detent.core.client import OPEN
from detent.features.device import GRANT_TYPE
from detent.keys.file import FileKeys
from tests.browsing import Browser, Page
from tests.serving import Detent, client, running

ROOT = Path(__file__).parents[2]
ROWS = re.findall(r"^\| (`/.*|any of them) \| .* \| (.*) \| (.*)\|$", (ROOT / "docs" / "pages.md").read_text(), re.M)


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory, keys_folder: Path) -> Iterator[Detent]:
    """With every page that there can be."""
    with running(tmp_path_factory.mktemp("standing"), keys_folder, sign_up=True) as served:
        yield served


def test_the_page_lists_every_path(standing: Detent) -> None:
    listed = {path for first, _, _ in ROWS for path in re.findall(r"`(/[a-z-]+)`", first)}
    routed = {path for path, route in standing.house.registry.routes.items() if route.page}
    assert listed == routed - {"/", "/oidc/logout", "/v2/logout"}


@pytest.fixture(scope="module")
def pages(standing: Detent, keys_folder: Path) -> dict[str, Page]:
    with Browser(standing) as elsewhere, Browser(standing) as browser:
        elsewhere.tokens("app", scope="openid read offline_access")
        elsewhere.press(elsewhere.open("/logout"), "logout-confirm")
        login = browser.authorize()
        newcomer = browser.authorize(prompt="create")
        refused = browser.press(newcomer, "sign-up", username="test", password="test")
        consent = browser.log_in(login)
        code = browser.allow(consent).answer["code"]
        assert [standing.redeem("spa", code).status_code for _ in range(2)] == [200, 400], "so there is trouble to tell"
        failed = browser.press(browser.authorize(prompt="login"), "login", username="test", password="wrong")
        chosen = browser.authorize(prompt="select_account")
        assert standing.revoke(standing.sign_in("app")["refresh_token"], "app").status_code == 200, "and an end"
        again = browser.authorize(prompt="create")
        devices = devices_seen(standing, browser, keys_folder)
        account = browser.open("/account")
        logout = browser.open("/logout")
        signed_out = browser.press(logout, "logout-confirm")
        keys = FileKeys.open(keys_folder, standing.clock)
        standing.apply(InsertClient(client("newcomer", "browser", keys, registered_by=OPEN)))
        held_back = browser.authorize("newcomer", prompt="none")
        error = browser.open("/authorize")
    sign_up = (newcomer, refused, again)
    found = (login, failed, chosen, *sign_up, consent, *devices, logout, signed_out, account, held_back, error)
    return {first: page for (first, _, _), page in zip(ROWS, found, strict=True)}


def devices_seen(standing: Detent, browser: Browser, keys_folder: Path) -> tuple[Page, ...]:
    """Each step of a device's sign-in."""
    tv = client("tv", "cli", FileKeys.open(keys_folder, standing.clock), grant_types=(GRANT_TYPE,))
    standing.apply(InsertClient(tv))
    code = standing.post("/oauth/device/code", "tv", scope="read").json()["user_code"]
    ask = browser.open("/device")
    wrong = browser.press(ask, "device-continue", user_code="BBBB-BBBB")
    confirm = browser.press(ask, "device-continue", user_code=code)
    return ask, wrong, confirm, browser.press(confirm, "device-confirm")


@pytest.mark.parametrize("row", ROWS, ids=[first for first, _, _ in ROWS])
def test_every_id_and_name_is_there(pages: dict[str, Page], row: tuple[str, str, str]) -> None:
    first, ids, names = row
    text = pages[first].text
    assert set(re.findall(r"`([a-z_-]+)`", ids)) <= set(re.findall(r'\bid="([a-z_-]+)"', text))
    assert set(re.findall(r"`([a-z_-]+)`", names)) <= set(re.findall(r'\bname="([a-z_-]+)"', text))


def test_nothing_else_has_an_id_or_a_name(pages: dict[str, Page]) -> None:
    """What is not listed could not be relied on. Headings have ids for the sections that they name."""
    forms = "".join(re.sub("<meta[^>]*>", "", page.text) for page in pages.values())
    listed = [{name for row in ROWS for name in re.findall(r"`([a-z_-]+)`", row[column])} for column in (1, 2)]
    assert {name for name in re.findall(r'\bid="([^"]+)"', forms) if not name.endswith("-title")} == listed[0]
    assert set(re.findall(r'\bname="([^"]+)"', forms)) == listed[1] | {"csrf", "interaction", "logout", "shown"}


def test_enter_signs_in_and_does_not_cancel(pages: dict[str, Page]) -> None:
    """The first submit button of a form is its default (HTML, implicit submission)."""
    for first in ("`/login`", "`/sign-up`", "`/consent`", "`/logout`"):
        buttons = re.findall(r'<button id="([a-z-]+)"', pages[first].text)
        assert buttons[0] in ("login", "sign-up", "consent-accept", "logout-confirm")


def test_password_managers_find_the_fields(pages: dict[str, Page]) -> None:
    text = pages["`/login`"].text
    assert 'autocomplete="username"' in text
    assert 'autocomplete="current-password"' in text
    assert 'autocomplete="new-password"' in pages["`/sign-up`"].text
    for field in ("username", "password"):
        assert f'<label for="{field}">' in text
