"""Attacks on what people are shown (rows K4-K7, K10, U1, U5), over HTTP."""

import re
from pathlib import Path
from typing import Any

import pytest

from detent.core.changes import InsertClient
from tests.attacks.outcomes import ongoing
from tests.attacks.test_r_authorize import assert_page
from tests.browsing import Browser, Page
from tests.serving import REDIRECT_URI, Detent, client, running

pytestmark = pytest.mark.slow

detent = ongoing
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}{% raw %}${7*7}\u202egnp.exe\u2066"
LOGO = "https://logo.example/a.png"


@pytest.fixture(scope="module", autouse=True)
def _hostile_client(standing: Detent) -> None:
    keys: Any = standing.house.outside.keys
    links = {"logo_uri": LOGO, "policy_uri": "https://evil.example/\"'<b>", "tos_uri": "https://evil.example/tos"}
    links["policy_uri"] = "https://evil.example/%22%27%3Cb%3E"
    standing.apply(InsertClient(client("hostile", "web", keys, client_name=HOSTILE, **links)))


def every_page(detent: Detent) -> list[Page]:
    """Each page once, of an app whose name means harm."""
    with Browser(detent) as browser:
        login = browser.authorize("hostile", prompt="consent", login_hint=HOSTILE, state=HOSTILE)
        wrong = browser.press(login, "login", username=HOSTILE, password="x")
        consent = browser.log_in(login)
        chosen = browser.authorize("hostile", prompt="select_account")
        browser.allow(consent)
        posted = browser.authorize("hostile", response_mode="form_post", state=HOSTILE)
        account = browser.open("/account")
        logout = browser.open("/oidc/logout", params={"client_id": "hostile"})
        signed_out = browser.press(logout, "logout-confirm")
        error = browser.authorize("hostile", redirect_uri=f"https://evil.example/{HOSTILE}")
        missing = browser.open("/nothing")
    return [login, wrong, consent, chosen, posted, account, logout, signed_out, error, missing]


def test_attack_k4_no_page_can_be_framed(detent: Detent) -> None:
    for page in every_page(detent):
        assert "frame-ancestors 'none'" in page.response.headers["content-security-policy"], page.url
        assert page.response.headers["x-frame-options"] == "DENY"


def test_attack_k5_k10_what_a_client_calls_itself_is_text(detent: Detent) -> None:
    for page in every_page(detent):
        assert "<script>alert" not in page.text, page.url
        assert "onerror=alert(1)>" not in page.text, page.url
        assert "49" not in re.sub(
            r'value="[^"]*"|<code.*?</code>|datetime="[^"]*"|title="[^"]*"|[0-9]{4,}', "", page.text
        )
    named = [page for page in every_page(detent) if "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text]
    assert len(named) >= 6, "it is shown, as the text that it is"
    for page in named:
        assert "{{7*7}}" in page.text


def test_attack_k5_a_name_that_writes_backwards_stays_within_itself(detent: Detent) -> None:
    """Unicode bidi controls end with the element that isolates them."""
    with Browser(detent) as browser:
        text = browser.authorize("hostile").text
    for shown in re.finditer("\u202e", text):
        before = text[: shown.start()]
        inside = before.rfind("<bdi>") > before.rfind("</bdi>")
        assert inside or before.rfind("<title>") > before.rfind("</title>")


def test_attack_k5_no_page_has_a_script_or_a_style_of_its_own(detent: Detent) -> None:
    for page in every_page(detent):
        policy = page.response.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'self'; "), page.url
        assert "unsafe" not in policy
        assert ("script-src 'self'" in policy) == ("<script" in page.text)
        assert not re.search(r"<script(?![^>]* src=)", page.text)
        assert not re.search(r"<[^>]+ (style|on[a-z]+)=", re.sub(r'"[^"]*"', '""', page.text))
        assert "<style" not in page.text


def test_attack_k7_nothing_comes_from_elsewhere_but_a_registered_logo(detent: Detent) -> None:
    for page in every_page(detent):
        sources = re.findall(r'(?:src|<link[^>]+href)="([^"]*)"', page.text)
        assert {each for each in sources if "//" in each} <= {LOGO}
        images = re.search(r"img-src ([^;]*);", page.response.headers["content-security-policy"])
        assert images is not None
        assert images[1] in ("'self'", "'self' https://logo.example")
        assert page.response.headers["referrer-policy"] in ("same-origin", "no-referrer")


def test_attack_k6_rfc6749_5_2_a_description_stays_within_the_allowed_characters(detent: Detent) -> None:
    with Browser(detent) as browser:
        for change in ({"scope": "openid ünïcode"}, {"prompt": 'lo"gin\\'}, {"scope": "openid \u202ex"}):
            told = browser.authorize("hostile", **change).answer["error_description"]
            assert re.fullmatch(r"[\x20\x21\x23-\x5B\x5D-\x7E]+", told)


def bare(page: Page) -> str:
    """The page without what is made anew each time."""
    return re.sub(r'name="(csrf|interaction)" value="[^"]*"', "", page.text)


def test_attack_u1_an_unknown_name_and_a_wrong_password_get_the_same_answer(detent: Detent) -> None:
    seen = []
    for username in ("test", "tesx"):
        with Browser(detent) as browser:
            page = browser.press(browser.authorize(), "login", username=username, password="wrong")
            headers = {
                k: v for k, v in page.response.headers.items() if k not in ("date", "set-cookie", "content-length")
            }
            seen.append((page.status, bare(page).replace(username, "NAME"), headers))
            assert len(page.response.headers.get_list("set-cookie")) == 0
    assert seen[0] == seen[1]


def test_attack_u1_a_throttled_name_tells_nothing_either(tmp_path: Path, keys_folder: Path) -> None:
    with running(tmp_path, keys_folder) as house:
        seen = []
        for username in ("test", "tesx"):
            with Browser(house) as browser:
                page = browser.authorize()
                statuses = [browser.press(page, "login", username=username, password="wrong").status for _ in range(12)]
                right = browser.press(page, "login", username=username, password="test")
                assert statuses == [422] * 10 + [429] * 2
                seen.append((right.status, bare(right).replace(username, "NAME")))
                assert int(right.response.headers["retry-after"]) > 0
        assert seen[0] == seen[1]
        assert seen[0][0] == 429


def test_attack_u4_a_known_browser_still_enters_while_its_account_is_attacked(
    tmp_path: Path, keys_folder: Path
) -> None:
    with running(tmp_path, keys_folder) as house, Browser(house) as owner, Browser(house) as attacker:
        owner.sign_in()
        page = attacker.authorize()
        statuses = [attacker.press(page, "login", username="test", password="wrong").status for _ in range(12)]
        assert statuses[-1] == 429
        assert "code" in owner.allow(owner.log_in(owner.authorize(prompt="login"))).answer


@pytest.mark.parametrize(
    ("proxies", "sent", "throttled"),
    [
        (0, "9.9.9.{}", True),
        (1, "9.9.9.{}, 8.8.8.8", True),
        (1, "9.9.9.{}", False),
        (1, "9.9.9.{}:4711", False),
        (1, "[2001:db8:{}::1]:4711", False),
        (1, "[{}", True),
        (1, "{}]:::", True),
    ],
)
def test_attack_u5_only_what_ones_own_proxies_add_is_believed(
    tmp_path: Path, keys_folder: Path, proxies: int, sent: str, throttled: bool
) -> None:
    with running(tmp_path, keys_folder, proxies=proxies) as house, Browser(house) as browser:
        page = browser.authorize()
        statuses = []
        for number in range(12):
            browser.http.headers["x-forwarded-for"] = sent.format(number)
            statuses.append(browser.press(page, "login", username="test", password="wrong").status)
    assert (429 in statuses) is throttled


@pytest.mark.parametrize(
    "fields",
    [
        {"username": "", "password": ""},
        {"username": "x" * 5000, "password": "x"},
        {"username": "test", "password": "x" * 5000},
        {"username": "te\u200bst", "password": "test"},
        {"username": None, "password": None},
    ],
)
def test_attack_u10_what_cannot_be_a_password_is_a_wrong_one(detent: Detent, fields: dict[str, str | None]) -> None:
    with Browser(detent) as browser:
        assert browser.press(browser.authorize(), "login", **fields).status == 422


def test_a_nul_in_a_field_is_refused_on_a_page(detent: Detent) -> None:
    with Browser(detent) as browser:
        assert_page(browser.press(browser.authorize(), "login", username="te\0st", password="test"))


def test_the_redirect_uri_is_shown_by_its_host_so_that_a_name_cannot_lie(detent: Detent) -> None:
    with Browser(detent) as browser:
        assert ">127.0.0.1<" in browser.authorize("hostile", redirect_uri=REDIRECT_URI).text
