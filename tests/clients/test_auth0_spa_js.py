"""A browser app in Chromium, in both caches and in two tabs: login, five refreshes, old tokens, revocation, logout."""

from urllib.parse import parse_qsl

import pytest

from tests.browser.people import Browse
from tests.browser.site import MakeSite, Site
from tests.clients.example import Example
from tests.clients.in_browser import App, refreshed_five_times, serve

MODULES = {"@auth0/auth0-spa-js": "@auth0/auth0-spa-js/dist/auth0-spa-js.production.esm.js"}
REFUSED = "Unknown or invalid refresh token"


@pytest.fixture(params=["memory", "localstorage"])
def served(example: Example, site: MakeSite, request: pytest.FixtureRequest) -> Site:
    return app_at(example, site(), request.param)


def app_at(example: Example, site: Site, cache: str) -> Site:
    serve(example, site, "auth0-spa-js", MODULES, CACHE=cache)
    return site


def test_auth0_spa_js_signs_in_refreshes_five_times_and_signs_out(
    example: Example, served: Site, browse: Browse
) -> None:
    app = App(browse(), served).open()
    assert app.sign_in() == "Test Person"
    refreshed_five_times(example, app)
    app.sign_out()


def test_auth0_spa_js_tells_of_an_old_refresh_token(example: Example, site: MakeSite, browse: Browse) -> None:
    app = App(browse(troubles="status of 400"), app_at(example, site(), "localstorage")).open()
    app.sign_in()
    old = app.storage()
    refreshed_five_times(example, app)
    access_token = app.ask("refresh")
    app.store(old)
    refusal = app.ask("refresh")
    assert refusal["error"] == "invalid_grant"
    assert REFUSED in refusal["message"]
    assert not example.active(access_token)


def test_auth0_spa_js_in_memory_goes_on_by_the_session_after_a_theft(
    example: Example, site: MakeSite, browse: Browse
) -> None:
    """The thief listens where the app's worker sends: nothing in the page holds a refresh token."""
    app = App(browse(troubles="status of 400"), app_at(example, site(), "memory")).open()
    sent: list[str] = []
    app.page.context.on("request", lambda request: sent.append(request.post_data or ""))
    app.sign_in()
    refreshed_five_times(example, app)
    assert "dtrt_" not in app.storage()
    first, *_ = [dict(parse_qsl(each)) for each in sent if "grant_type=refresh_token" in each]
    access_token = app.ask("refresh")
    assert example.detent.http.post("/oauth/token", data=first).json()["error"] == "invalid_grant"
    assert not example.active(access_token)
    assert example.active(app.ask("refresh")), "a new family, without a page"


def test_auth0_spa_js_revokes_its_refresh_token(example: Example, served: Site, browse: Browse) -> None:
    app = App(browse(), served).open()
    app.sign_in()
    access_token = app.ask("refresh")
    assert example.active(access_token)
    assert app.ask("revoke") is None
    assert not example.active(access_token)


def test_auth0_spa_js_in_two_tabs_stays_signed_in_in_both(example: Example, served: Site, browse: Browse) -> None:
    """In memory each tab has a family of its own, which the session gave it; else they share one, in turns."""
    tabs = [App(browse(), served).open()]
    tabs[0].sign_in()
    tabs.append(App(tabs[0].page.context.new_page(), served).open())
    assert tabs[1].ask("checkSession") is None
    for _ in range(3):
        for tab in tabs:
            assert example.secret_area(tab.ask("refresh")) == 200
