"""A browser app in Chromium: code and PKCE, five refreshes that rotate, a stolen old token, revocation, sign-out."""

import pytest

from tests.browser.people import Browse
from tests.browser.site import MakeSite, Site
from tests.clients.example import Example
from tests.clients.in_browser import App, refreshed_five_times, serve

MODULES = {
    "oidc-client-ts": "oidc-client-ts/dist/esm/oidc-client-ts.js",
    "jwt-decode": "jwt-decode/build/esm/index.js",
}
REFUSED = "Unknown or invalid refresh token"


@pytest.fixture
def served(example: Example, site: MakeSite) -> Site:
    made = site()
    serve(example, made, "oidc-client-ts", MODULES)
    return made


def test_oidc_client_ts_signs_in_refreshes_five_times_and_signs_out(
    example: Example, served: Site, browse: Browse
) -> None:
    app = App(browse(), served).open()
    assert app.sign_in() == "Test Person"
    refreshed_five_times(example, app)
    app.sign_out()


def test_oidc_client_ts_tells_of_an_old_refresh_token_and_of_a_revoked_one(
    example: Example, served: Site, browse: Browse
) -> None:
    app = App(browse(troubles="status of 400|ErrorResponse"), served).open()
    app.sign_in()
    old = app.storage()
    refreshed_five_times(example, app)
    newest, access_token = app.storage(), app.ask("refresh")
    app.store(old)
    refusal = app.ask("refresh")
    assert (refusal["name"], refusal["error"]) == ("ErrorResponse", "invalid_grant")
    assert REFUSED in refusal["message"]
    assert not example.active(access_token)
    app.store(newest)
    assert REFUSED in app.ask("refresh")["message"]

    assert app.sign_in() == "Test Person", "without a page: the session lives"
    access_token, held = app.ask("refresh"), app.storage()
    app.ask("revoke")
    assert not example.active(access_token)
    app.store(held)
    assert REFUSED in app.ask("refresh")["message"]
