"""The demo apps of `detent up` as a person uses them: signs in, watches the token turn, plays the thief, signs out."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from detent.core.changes import InsertClient
from detent.core.policy import Overrides
from detent.demo.api import demo_api
from detent.demo.browser_app import browser_app
from detent.demo.web_app import web_app
from detent.testing.server import Loopback
from tests.browser.apps import sign_in
from tests.browser.looks import accessible, pictured
from tests.browser.people import PATIENCE_MS, Browse
from tests.serving import API, SECRET, VAULT, Detent, client

expect.set_options(timeout=PATIENCE_MS)
REFUSED = "status of 400"  # what Chromium says in the console of a refused refresh
HELD = "() => Object.values(localStorage).join('')"


def registered(detent: Detent, name: str, kind: Any, url: str, **more: Any) -> None:
    origin = url.rstrip("/")
    fields: dict[str, Any] = {
        "client_name": name,
        "redirect_uris": (f"{url}callback", f"{url}silent"),
        "post_logout_redirect_uris": (f"{url}signed-out",),
        "web_origins": (origin,),
    }
    keys: Any = detent.house.outside.keys
    detent.apply(InsertClient(client(name, kind, keys, **(fields | more))))


@pytest.fixture
def app(detent: Detent) -> str:
    """The URL of the browser app, whose access tokens live two minutes."""
    here, api = Loopback(), Loopback()
    origin = here.url.rstrip("/")
    registered(detent, "demo-browser", "browser", here.url, overrides=Overrides(access_life=120))
    guarded = demo_api(detent.issuer, API, VAULT, ("demo-api", SECRET), origins=(origin,), clock=detent.clock.now)
    detent.thread.serve(guarded, api)
    detent.thread.serve(browser_app(origin, detent.issuer, api.url, API), here)
    return here.url


@pytest.fixture
def web(detent: Detent) -> str:
    here = Loopback()
    registered(detent, "demo-web", "web", here.url, first_party=True)
    origin = here.url.rstrip("/")
    detent.thread.serve(web_app(origin, detent.issuer, str(detent.api.base_url), API, ("demo-web", SECRET)), here)
    return here.url


def signed_in(page: Page, app: str) -> Page:
    page.goto(app)
    page.click("#sign-in")
    sign_in(page)
    expect(page.locator("#app")).to_be_visible()
    return page


def generation(page: Page, number: int) -> None:
    expect(page.locator("#family-state")).to_contain_text(f"Generation {number}.")


def test_the_refresh_token_turns_when_asked_and_the_page_shows_what_it_holds(app: str, browse: Browse) -> None:
    page = browse()
    page.goto(app)
    expect(page.locator("#sign-in")).to_be_visible()
    pictured(page, "demo-welcome")
    accessible(page)
    signed_in(page, app)
    generation(page, 1)
    for number in (2, 3, 4):
        page.click("#refresh")
        generation(page, number)
    page.click("#call-api")
    expect(page.locator("#api-answer")).to_contain_text("This is the secret area.")
    page.click("#access-token summary")
    expect(page.locator("#access-token")).to_contain_text("who may accept it")
    expect(page.locator("#access-token .text")).to_be_hidden()
    page.click("#access-token .itself button")
    assert page.inner_text("#access-token .text").startswith("eyJ")
    pictured(page, "demo-signed-in")
    accessible(page)


def test_the_theft_story_ends_the_family_and_a_new_sign_in_needs_no_password(app: str, browse: Browse) -> None:
    page = signed_in(browse(troubles=REFUSED), app)
    page.click("#thief")
    expect(page.locator("#dead")).to_be_visible()
    expect(page.locator("#steps .bad")).to_have_text(["400", "400"])
    expect(page.locator("#teeth .dead")).to_have_count(2)
    expect(page.locator("#story-end")).to_contain_text("detent family explain")
    expect(page.locator("#story-title")).to_be_focused()
    expect(page.locator("#refresh")).to_be_hidden()
    pictured(page, "demo-thief")
    accessible(page)
    page.click("#sign-in-again")
    generation(page, 1)
    expect(page.locator("#dead")).to_be_hidden()


def test_b18_in_memory_a_reload_loses_the_tokens_and_the_session_brings_new_ones(app: str, browse: Browse) -> None:
    page = signed_in(browse(), app)
    page.click("#refresh")
    generation(page, 2)
    assert "dtrt_" not in page.evaluate(HELD)
    for place in ("memory", "local"):
        expect(page.locator(f"label:has(#keep-{place})")).to_contain_text("Risk:")
    page.reload()
    generation(page, 1)
    expect(page.locator("#log")).to_contain_text("Signed in silently as test")


def test_b18_in_local_storage_they_survive_a_reload_and_leave_with_a_change_of_mind(app: str, browse: Browse) -> None:
    page = signed_in(browse(), app)
    page.check("#keep-local")
    page.click("#refresh")
    generation(page, 2)
    assert "dtrt_" in page.evaluate(HELD)
    page.reload()
    generation(page, 2)
    page.check("#keep-memory")
    expect(page.locator("#log")).to_contain_text("moved to memory")
    assert "dtrt_" not in page.evaluate(HELD)


def test_two_tabs_whose_token_is_about_to_expire_refresh_it_once(app: str, detent: Detent, browse: Browse) -> None:
    page = browse()
    page.context.clock.install()
    signed_in(page, app)
    page.check("#keep-local")
    other = page.context.new_page()
    other.goto(app)
    generation(other, 1)
    detent.clock.advance(91)
    page.context.clock.fast_forward(91_000)
    for tab in (page, other):
        generation(tab, 2)
        expect(tab.locator("#alert")).to_be_hidden()
        expect(tab.locator("#dead")).to_be_hidden()


def test_signing_out_is_for_both_apps_and_only_one_password_was_typed(
    app: str, web: str, detent: Detent, browse: Browse
) -> None:
    page = signed_in(browse(troubles=REFUSED), app)
    second = page.context.new_page()
    second.goto(web)
    pictured(second, "demo-web-welcome")
    accessible(second)
    second.click("#sign-in")
    expect(second.locator("#who-name")).to_have_text("Test Person")
    second.click("#call-api")
    expect(second.locator("#api-answer")).to_contain_text("This is the secret area.")
    pictured(second, "demo-web-signed-in")
    accessible(second)
    page.click("#sign-out")
    expect(page.locator("#note")).to_contain_text("You have signed out")
    expect(page.locator("#sign-in")).to_be_visible()
    second.click("#refresh")
    expect(second.locator("#alert")).to_contain_text("invalid_grant")


def test_the_web_app_works_without_scripts(web: str, browse: Browse) -> None:
    page = browse(scripts=False)
    page.goto(web)
    page.click("#sign-in")
    sign_in(page)
    expect(page.locator("#who-name")).to_have_text("Test Person")
    page.click("#refresh")
    expect(page.locator("#refreshes")).to_have_text("1")
    page.click("#sign-out")
    expect(page.locator("#note")).to_contain_text("You have signed out")
    expect(page.locator("#sign-in")).to_be_visible()


def test_cancelling_is_said_and_leads_back_to_the_start(app: str, browse: Browse) -> None:
    page = browse()
    page.goto(app)
    page.click("#sign-in")
    page.click("#cancel")
    expect(page.locator("#alert")).to_contain_text("access_denied")
    expect(page.locator("#sign-in")).to_be_visible()
