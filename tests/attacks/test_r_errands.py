"""Whom the authorization endpoint runs errands for: R8 (errors lead to strangers), R9 (other flows), R19 (issuers)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from detent.core.changes import InsertClient
from detent.core.client import DOCUMENT, OPEN
from detent.endpoints.metadata import WELL_KNOWN
from tests.attacks.outcomes import assert_refused, ongoing
from tests.browsing import STATE, Browser, Page, request_of
from tests.mission.test_a_tokens import claims_of
from tests.serving import REDIRECT_URI, Detent, client, running

detent = ongoing

LURE = "https://lure.example/cb"
# Nobody has signed in, and the request is good or bad: all of these would send a browser on at once.
ERRANDS: dict[str, dict[str, Any]] = {
    "login_required": {"prompt": "none"},
    "invalid_scope": {"scope": "openid fly"},
    "unsupported_response_type": {"response_type": "token"},
    "invalid_request": {"prompt": "sideways"},
    "invalid_target": {"resource": "https://nowhere.example/"},
    "request_uri_not_supported": {"request_uri": LURE},
    "invalid_request_object": {"request": "e30.e30."},
}
NEWCOMERS = {"open": OPEN, "document": DOCUMENT}


@pytest.fixture(scope="module", autouse=True)
def _strangers(standing: Detent) -> None:
    keys: Any = standing.house.outside.keys
    for name, by in {**NEWCOMERS, "trusted": "a-token"}.items():
        fields = {"redirect_uris": (LURE,), "web_origins": ("https://lure.example",), "registered_by": by}
        standing.apply(InsertClient(client(f"stranger-{name}", "browser", keys, **fields)))


def ask(browser: Browser, name: str, **change: Any) -> Page:
    return browser.authorize(f"stranger-{name}", redirect_uri=LURE, **change)


@pytest.mark.parametrize("error", ERRANDS)
@pytest.mark.parametrize("name", NEWCOMERS)
def test_attack_r8_rfc9700_4_11_2_no_error_sends_anybody_to_who_registered_itself(
    detent: Detent, name: str, error: str
) -> None:
    with Browser(detent) as browser:
        page = ask(browser, name, **ERRANDS[error])
        assert (page.status, page.path, page.error) == (200, "/authorize", error)
        assert len(page.support_id) == 12
        headers = page.response.headers
        assert {"location", "refresh"}.isdisjoint(headers)
        assert "script-src" not in headers["content-security-policy"], "nothing goes on by itself"
        assert "http-equiv" not in page.text
        assert page.texts["site"] == "lure.example"
        assert f'href="{LURE}?error={error}&amp;' in page.text, "the person may"


def test_attack_r8_neither_by_form_nor_by_saying_no(detent: Detent) -> None:
    with Browser(detent) as browser:
        page = ask(browser, "open", prompt="none", response_mode="form_post")
        assert "<script" not in page.text
        assert page.forms[0]["action"] == LURE
        assert page.forms[0]["fields"].keys() == {"error", "error_description", "state", "iss"}
        assert page.forms[0]["fields"]["state"] == STATE
        assert "continue" in page.buttons
        consent = browser.log_in(ask(browser, "open"))
        denied = browser.press(consent, "consent-deny")
        assert (denied.status, denied.error) == (200, "access_denied")
        assert "location" not in denied.response.headers


def test_attack_r8_what_an_app_says_of_itself_stays_text(detent: Detent) -> None:
    keys: Any = detent.house.outside.keys
    fields: dict[str, Any] = {"redirect_uris": (LURE,), "registered_by": OPEN, "client_name": "<b>Your bank</b>"}
    detent.apply(InsertClient(client("stranger-named", "browser", keys, **fields)))
    with Browser(detent) as browser:
        page = ask(browser, "named", prompt="none", state='"><script>alert(1)</script>')
        assert "<b>Your" not in page.text
        assert "<script" not in page.text
        lured = ask(browser, "named", scope="openid Call+1-555-0100-to-unlock")
        assert "555" not in lured.text.replace(lured.texts["site"], "").partition("<main")[2].partition("href=")[0]


def test_attack_r8_whom_the_operator_knows_is_told_at_once_and_a_code_leads_on(detent: Detent) -> None:
    """A code comes after a sign-in and a yes on a page that names the host; a message goes to an origin, no window."""
    with Browser(detent) as browser:
        assert ask(browser, "trusted", prompt="none").location.startswith(f"{LURE}?error=login_required")
        assert browser.authorize("spa", prompt="none").answer["error"] == "login_required"
        message = ask(browser, "open", prompt="none", response_mode="web_message")
        assert "login_required" in message.text
        assert "web_message.js" in message.text
        page = browser.log_in(ask(browser, "open"))
        assert "lure.example" in page.text
        assert "code" in browser.allow(page).answer


@pytest.mark.parametrize(
    "response_type",
    ["token", "id_token", "id_token token", "code token", "code id_token", "code id_token token", "none", "CODE"],
)
def test_attack_r9_rfc9700_2_1_2_no_other_response_type_by_any_door(detent: Detent, response_type: str) -> None:
    """Asked plainly, in the other order, within a session, again after an error, pushed, or with another mode."""
    refused = "unsupported_response_type"
    with Browser(detent) as browser:
        browser.sign_in()
        for order in {response_type, " ".join(reversed(response_type.split()))}:
            for more in ({}, {"prompt": "none"}, {"prompt": "login"}, {"response_mode": "fragment"}):
                answer = browser.authorize(response_type=order, **more).answer
                assert answer.keys() == {"error", "error_description", "state", "iss"}
                assert answer["error"] == refused
        restarted = browser.authorize(prompt="login")
        assert restarted.path == "/login"
        tampered = browser.press(restarted, "login", username="test", password="test", response_type=response_type)
        assert "access_token" not in browser.allow(tampered).location
    assert_refused(detent.post("/oauth/par", "spa", **request_of(response_type=response_type)), refused)


ISSUER = "https://id.example/tenant/"


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory, keys_folder: Path) -> Iterator[Detent]:
    """As behind a proxy that leads a path to it."""
    with running(tmp_path_factory.mktemp("tenant"), keys_folder, "memory", public=ISSUER) as served:
        yield served


def test_attack_r19_rfc8414_3_3_the_issuer_is_one_text_everywhere(tenant: Detent) -> None:
    told = [tenant.http.get(path).json() for path in WELL_KNOWN]
    assert {each["issuer"] for each in told} == {ISSUER}
    urls = {name: value for name, value in told[0].items() if name.endswith(("_endpoint", "_uri"))}
    assert urls
    assert all(url.startswith(ISSUER) for url in urls.values()), "each under the path"
    tokens = tenant.sign_in("web", scope="openid read")
    assert {claims_of(tokens[name])["iss"] for name in ("access_token", "id_token")} == {ISSUER}
    with Browser(tenant) as browser:
        assert browser.authorize(prompt="none").answer["iss"] == ISSUER


@pytest.mark.parametrize("path", WELL_KNOWN)
def test_attack_r19_rfc8414_3_there_is_no_metadata_of_anybody_else(detent: Detent, path: str) -> None:
    for other in (f"{path}/tenant", f"/tenant{path}", f"{path}/../x", f"{path}/", path.upper(), f"{path}?issuer=x"):
        answer = detent.http.get(other)
        assert answer.status_code == 404 or answer.json()["issuer"] == detent.issuer, other
    for host in ("other.example", "127.0.0.1", f"evil.{httpx.URL(detent.issuer).netloc.decode()}"):
        away = detent.http.get(path, headers={"host": host})
        assert (away.status_code, b"issuer" in away.content and b"jwks_uri" in away.content) == (421, False)
    forwarded = {"x-forwarded-host": "other.example", "forwarded": "host=other.example", "x-forwarded-prefix": "/x"}
    assert detent.http.get(path, headers=forwarded).json()["issuer"] == detent.issuer


def test_attack_r19_nothing_of_one_issuer_is_good_at_another_with_the_same_keys(detent: Detent, tenant: Detent) -> None:
    theirs = tenant.sign_in("web", scope="openid read offline_access")
    bearer = {"authorization": f"Bearer {theirs['access_token']}"}
    assert detent.http.get("/userinfo", headers=bearer).status_code == 401
    assert detent.introspect(theirs["access_token"], "web") == {"active": False}
    assert_refused(detent.refresh("web", theirs["refresh_token"]), "invalid_grant")
    assert_refused(detent.redeem("web", tenant.code("web")), "invalid_grant")
    with Browser(detent) as browser:
        hinted = browser.authorize("web", id_token_hint=theirs["id_token"])
        assert hinted.answer["error"] == "invalid_request"
        out = browser.open(
            "/oidc/logout", params={"id_token_hint": theirs["id_token"], "post_logout_redirect_uri": REDIRECT_URI}
        )
        assert (out.status, out.error) == (400, "invalid_request")
