"""Mission E: the four kinds of token, what each is for, and the session token as a hardened cookie. Over HTTP."""

from pathlib import Path

import pytest

from detent.core.policy import KINDS, ClientKind
from detent.features.status_list import DEFAULT_TTL
from tests.browsing import Browser
from tests.mission.test_a_tokens import claims_of
from tests.serving import API, Detent, running

pytestmark = pytest.mark.quick

SESSION, BROWSER, DEVICE = "session", "browser", "device"


def test_e1_one_sign_in_yields_access_refresh_id_and_session_token(detent: Detent) -> None:
    with Browser(detent) as browser:
        tokens = browser.tokens()
        session = next(cookie for cookie in browser.http.cookies.jar if "_session_" in cookie.name)
        assert session.value
        assert detent.secret(tokens["access_token"]).status_code == 200
        assert claims_of(tokens["id_token"])["aud"] == "spa"
        assert detent.refresh("spa", tokens["refresh_token"]).status_code == 200
        assert "code" in browser.authorize(prompt="none").answer
        everything = [session.value, *(tokens[name] for name in ("access_token", "refresh_token", "id_token"))]
    assert len(set(everything)) == 4
    for other in (session.value, tokens["id_token"], tokens["refresh_token"]):
        assert detent.secret(other).status_code == 401, "only the access token opens the API"
    for other in (session.value, tokens["id_token"], tokens["access_token"]):
        assert detent.refresh("spa", other).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("kind", KINDS)
def test_e2_an_access_token_lives_an_hour_at_most_by_default(kind: ClientKind) -> None:
    assert KINDS[kind].policy.access_life <= 3600


@pytest.mark.parametrize("who", ["the server", "the person"])
def test_e2_it_is_ended_at_our_endpoints_at_once_and_at_an_api_that_verifies_alone_within_the_ttl(
    detent: Detent, who: str
) -> None:
    with Browser(detent) as browser:
        tokens = browser.tokens("app", resource=API)
        token, bearer = tokens["access_token"], {"Authorization": f"Bearer {tokens['access_token']}"}
        assert detent.secret(token).status_code == detent.http.get("/userinfo", headers=bearer).status_code == 200
        if who == "the person":
            browser.press(browser.open("/logout"), "logout-confirm")
        else:
            detent.thread.call(detent.house.people.disable(detent.user("test").subject))
    assert detent.http.get("/userinfo", headers=bearer).status_code == 401
    detent.clock.advance(DEFAULT_TTL - 1)
    asked = detent.guards["/secret"].counters.status_list_fetches
    assert detent.secret(token).status_code == 200
    assert detent.guards["/secret"].counters.status_list_fetches == asked, "nobody is asked before the ttl is over"
    detent.clock.advance(1)
    assert detent.secret(token).json()["error"] == "invalid_token"


def test_e3_a_refresh_token_opens_nothing_and_the_api_asks_nobody_about_it(detent: Detent) -> None:
    token = detent.sign_in()["refresh_token"]
    asked = detent.guards["/opaque/secret"].counters.introspections

    answers = [detent.secret(token, path) for path in ("/secret", "/opaque/secret")]
    at_userinfo = detent.http.get("/userinfo", headers={"Authorization": f"Bearer {token}"})

    assert [(each.status_code, each.json()["error"]) for each in (*answers, at_userinfo)] == [
        (401, "invalid_token")
    ] * 3
    assert detent.guards["/opaque/secret"].counters.introspections == asked, "a refresh token never leaves the API"
    assert detent.refresh("testclient", token).status_code == 200


def set_cookies(detent: Detent) -> dict[str, str]:
    """Each cookie that a sign-in sets, by kind, as the header says it."""
    found = {}
    with Browser(detent) as browser:
        page = browser.authorize()
        responses = [browser.http.get("/authorize", params={"client_id": "nobody"}), page.response]
        answered = browser.log_in(page)
        responses += [*page.response.history, answered.response, *browser.passed]
    for response in responses:
        for header in response.headers.get_list("set-cookie"):
            kind = next(kind for kind in (SESSION, BROWSER, DEVICE) if f"detent_{kind}" in header.partition("=")[0])
            found[kind] = header
    return found


def test_e5_the_session_token_is_a_hardened_cookie(tmp_path: Path, keys_folder: Path) -> None:
    with running(tmp_path, keys_folder, public="https://id.example/") as served:
        cookies = set_cookies(served)
    assert cookies.keys() == {SESSION, BROWSER, DEVICE}
    for kind, header in cookies.items():
        name, *attributes = header.split("; ")
        assert name.startswith(f"__Host-detent_{kind}=")
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=None"} <= set(attributes)
        assert not any(attribute.lower().startswith("domain") for attribute in attributes)


def test_e5_on_loopback_without_tls_the_cookie_is_lax_and_carries_the_port(detent: Detent) -> None:
    port = detent.issuer.rstrip("/").rpartition(":")[2]
    header = set_cookies(detent)[SESSION]
    assert header.startswith(f"detent_session_{port}=")
    assert {"HttpOnly", "Path=/", "SameSite=Lax"} <= set(header.split("; "))


def test_e5_the_cookie_at_rest_is_a_digest(detent: Detent) -> None:
    with Browser(detent) as browser:
        browser.sign_in()
        value = next(cookie.value for cookie in browser.http.cookies.jar if "_session_" in cookie.name) or ""
    rows = detent.thread.call(detent.house.outside.directory.sessions(detent.user("test").subject))
    assert len(rows) == 1
    assert value not in repr(rows)
    assert rows[0].secret not in value.encode()
    assert len(rows[0].secret) == 32
