"""The page of examples/token_app.py in a real browser: it signs in, renews without being asked, and signs out."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from detent.core.policy import MINUTE, Overrides
from tests.browser.apps import sign_in
from tests.browser.people import PATIENCE_MS, Browse
from tests.examples import free_port, registered, serving
from tests.serving import API, Detent

expect.set_options(timeout=PATIENCE_MS)
HELD = "() => Object.values(localStorage).join('') + Object.values(sessionStorage).join('') + document.cookie"


@pytest.fixture
def app(detent: Detent) -> Iterator[str]:
    port = free_port()
    env = registered(
        detent,
        "token-app",
        redirect_uris=(f"http://127.0.0.1:{port}/callback",),
        refresh_strategy="unique_claim",
        overrides=Overrides(access_life=10 * MINUTE),
    )
    with serving("token_app", "--port", port, env={**env, "AUDIENCE": API}) as http:
        yield str(http.base_url)


def signed_in(page: Page, app: str) -> Page:
    page.goto(app)
    page.clock.install()
    page.click("#login")
    sign_in(page)
    expect(page.locator("#status")).to_have_text("Signed in.")
    return page


def test_c3_the_page_renews_its_tokens_before_they_end_and_nobody_is_asked(
    app: str, detent: Detent, browse: Browse
) -> None:
    page = signed_in(browse(), app)
    assert page.url == app, "the code is out of sight"
    for pairs in ("2", "3"):
        page.clock.fast_forward(9 * MINUTE * 1000)
        page.clock.fast_forward(MINUTE * 1000)
        expect(page.locator("#pairs")).to_have_text(pairs)
    page.click("#me")
    expect(page.locator("#status")).to_have_text(f"You are {detent.user('test').subject}.")
    assert page.evaluate(HELD) == "", "both tokens are in memory alone"


def test_c3_an_access_token_that_the_api_does_not_take_any_more_is_renewed_on_the_way(
    app: str, detent: Detent, browse: Browse
) -> None:
    page = signed_in(browse(troubles="status of 401"), app)
    page.evaluate("pair.accessToken += 'x'")
    page.click("#me")
    expect(page.locator("#status")).to_have_text(f"You are {detent.user('test').subject}.")
    expect(page.locator("#pairs")).to_have_text("2")


def test_c5_signing_out_ends_the_refresh_token_and_where_the_server_says_no_the_page_says_so(
    app: str, detent: Detent, browse: Browse
) -> None:
    page = signed_in(browse(troubles="status of 401"), app)
    page.evaluate("kept = pair")
    page.click("#logout")
    expect(page.locator("#status")).to_have_text("Signed out")
    page.evaluate("keep(kept)")
    page.click("#renew")
    expect(page.locator("#status")).to_have_text("Not signed in.")
    expect(page.locator("#login")).to_be_visible()


def test_c3_cancelling_is_said_in_the_code_of_the_error(app: str, browse: Browse) -> None:
    page = browse(troubles="status of 403")
    page.goto(app)
    page.click("#login")
    page.click("#cancel")
    expect(page.locator("#status")).to_have_text("That did not work: access_denied.")
