"""Unmodified auth0-spa-js in a real browser: refresh tokens on, two tabs at once, and the web_message fallback."""

from typing import Any

import pytest
from playwright.sync_api import Page

from detent.core.ids import ClientId
from detent.core.policy import Overrides
from tests.browser.apps import auth0_spa_js, registered, sign_in
from tests.browser.people import Browse
from tests.browser.site import MakeSite, Site
from tests.mission.test_a_tokens import claims_of
from tests.serving import Detent

FRESH = "app.getTokenSilently({cacheMode: 'off'}).catch(error => 'failed: ' + error.message)"


@pytest.fixture
def served(detent: Detent, site: MakeSite) -> Site:
    made = site()
    registered(detent, made)
    return made


def signed_in(page: Page, app: Site) -> dict[str, Any]:
    page.goto(app.url)
    page.evaluate("void app.loginWithRedirect()")
    page.wait_for_url("**/login?**")
    sign_in(page)
    page.wait_for_url(f"{app.url}callback?**")
    page.evaluate("app.handleRedirectCallback().then(() => 0)")
    user: dict[str, Any] = page.evaluate("app.getUser()")
    return user


def test_sign_in_five_refreshes_and_sign_out(detent: Detent, served: Site, browse: Browse) -> None:
    app = auth0_spa_js(detent, served, useRefreshTokens=True, cacheLocation="localstorage")
    page = browse()
    assert signed_in(page, app)["name"] == "Test Person"
    tokens = [page.evaluate(FRESH) for _ in range(5)]
    assert len(set(tokens)) == 5
    assert [detent.secret(token).status_code for token in tokens] == [200] * 5

    page.evaluate("void app.logout({logoutParams: {returnTo: location.origin + '/bye'}})")
    page.wait_for_url(f"{app.url}bye**")
    assert page.evaluate("app.isAuthenticated()") is False
    page.evaluate("void app.loginWithRedirect()")
    page.wait_for_url("**/login?**")


@pytest.mark.parametrize(("overlap", "fallback"), [(0, True), (10, False)])
def test_two_tabs_at_once_stay_signed_in(
    detent: Detent, site: MakeSite, browse: Browse, overlap: int, fallback: bool
) -> None:
    """A tab may still read the other's former refresh token: Chromium's local storage is not one among processes.

    A strict family dies of that, and the session begins another without a page; an overlap answers it.
    """
    served = site()
    registered(detent, served, overrides=Overrides(overlap=overlap))
    app = auth0_spa_js(
        detent, served, useRefreshTokens=True, useRefreshTokensFallback=fallback, cacheLocation="localstorage"
    )
    page = browse(troubles="status of 400" if fallback else None)
    signed_in(page, app)
    other = page.context.new_page()
    other.goto(app.url)
    for _ in range(5):
        for tab in (page, other):
            tab.evaluate(f"void (window.asked = {FRESH})")
        answers = [tab.evaluate("window.asked") for tab in (page, other)]
        assert not [each for each in answers if each.startswith("failed")], answers
        good = [detent.secret(token).status_code for token in answers]
        assert good == [200, 200] or (fallback and 200 in good), "what a family had given ends with it"


def test_a_dead_refresh_token_falls_back_to_the_session_by_web_message(
    detent: Detent, served: Site, browse: Browse
) -> None:
    app = auth0_spa_js(
        detent, served, useRefreshTokens=True, useRefreshTokensFallback=True, cacheLocation="localstorage"
    )
    page = browse(troubles="status of 400")
    signed_in(page, app)
    families = detent.thread.call(detent.house.outside.directory.families(client_id=ClientId("demo")))
    for family in families:
        detent.thread.call(detent.house.ending.end(family.key, "operator", detent.clock.now()))
    assert detent.secret(page.evaluate(FRESH)).status_code == 200
    after = detent.thread.call(detent.house.outside.directory.families(client_id=ClientId("demo")))
    assert [family.status for family in after].count("live") == 1


def test_without_refresh_tokens_every_renewal_is_a_web_message(detent: Detent, served: Site, browse: Browse) -> None:
    app = auth0_spa_js(detent, served, useRefreshTokens=False)
    page = browse()
    signed_in(page, app)
    tokens = [page.evaluate(FRESH) for _ in range(3)]
    assert [detent.secret(token).status_code for token in tokens] == [200] * 3
    detent.thread.call(detent.house.sessions.sign_out(detent.user("test").subject, detent.clock.now()))
    assert "Login required" in page.evaluate(FRESH) or "signed in" in page.evaluate(FRESH)


def test_sign_in_in_a_popup(detent: Detent, served: Site, browse: Browse) -> None:
    app = auth0_spa_js(detent, served)
    page = browse()
    page.goto(app.url)
    with page.expect_popup() as opened:
        page.evaluate("void (window.done = app.loginWithPopup())")
    popup = opened.value
    popup.wait_for_url("**/login?**")
    sign_in(popup)
    page.evaluate("window.done.then(() => 0)")
    assert page.evaluate("app.getUser()")["email"] == "test@example.com"


def test_rfc9449_use_dpop_binds_the_code_and_every_token_to_a_key_of_the_browser(
    detent: Detent, served: Site, browse: Browse
) -> None:
    app = auth0_spa_js(detent, served, useRefreshTokens=True, useDpop=True)
    page = browse(troubles="status of 400")  # the server asks for its nonce
    assert signed_in(page, app)["name"] == "Test Person"
    tokens = [page.evaluate(FRESH) for _ in range(3)]
    assert len({claims_of(token)["cnf"]["jkt"] for token in tokens}) == 1
    assert [detent.secret(token).status_code for token in tokens] == [401] * 3, "they are no bearer tokens"
    [family] = detent.thread.call(detent.house.outside.directory.families(client_id=ClientId("demo")))
    assert (family.authorization.cnf.jkt, family.generation) == (claims_of(tokens[0])["cnf"]["jkt"], 1)
