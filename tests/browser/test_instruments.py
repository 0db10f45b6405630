"""The instruments of the browser tests measure what they say: each is tried on something good and something bad."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from detent.testing.server import Loopback, ServerThread
from tests.browser.certificate import Certificate
from tests.browser.looks import accessible, pictured
from tests.browser.parts import SCREENSHOTS
from tests.browser.people import SCREENS, Browse, Chromium
from tests.browser.site import MakeSite
from tests.serving import Detent

COOKIE = "signed-in=yes; SameSite=None; Secure; HttpOnly; Path=/"
TELLS = '<script>parent.postMessage("{}", "*")</script>'
LISTENS = """<p id="told"></p><script>onmessage = message => told.textContent = message.data</script>
<iframe src="{}told"></iframe>"""
STRICT = {"content-security-policy": "default-src 'none'"}
PAGE = """<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>A page</title>
<style>:root {{ color-scheme: light dark }}</style><main><h1>A page</h1>{}</main></html>"""


@pytest.fixture
def framed(certificate: Certificate) -> Iterator[str]:
    """https on 127.0.0.1: /sign-in sets a cookie, /told tells the page around it whether that came along;
    /strict has an inline script that its policy forbids.
    """

    async def sign_in(request: Request) -> Response:
        return HTMLResponse("signed in", headers={"set-cookie": COOKIE})

    async def told(request: Request) -> Response:
        return HTMLResponse(TELLS.format(request.cookies.get("signed-in", "no")))

    async def strict(request: Request) -> Response:
        return HTMLResponse("<script>1</script>", headers=STRICT)

    loopback = Loopback(certificate=certificate.path)
    with ServerThread() as thread:
        routes = [Route("/sign-in", sign_in), Route("/told", told), Route("/strict", strict)]
        thread.serve(Starlette(routes=routes), loopback)
        yield loopback.url


@pytest.fixture
def page_of(site: MakeSite) -> Callable[[str], str]:
    def serve(content: str) -> str:
        served = site()
        served.pages["/"] = content
        return served.url

    return serve


@pytest.mark.parametrize(("allowed", "answer"), [(True, "yes"), (False, "no")])
def test_third_party_cookies_are_sent_or_blocked_as_the_person_has_set(
    allowed: bool, answer: str, framed: str, site: MakeSite, browse: Browse
) -> None:
    around = site("localhost", tls=True)
    around.pages["/"] = LISTENS.format(framed)
    page = browse(third_party_cookies=allowed)
    page.goto(framed + "sign-in")
    page.goto(framed + "told")
    assert TELLS.format("yes") in page.content(), "as the first party it is sent in any case"
    page.goto(around.url)
    page.wait_for_function("told.textContent")
    assert page.inner_text("#told") == answer


def test_tabs_share_a_profile_and_profiles_share_nothing(framed: str, browse: Browse) -> None:
    page, stranger = browse(), browse("phone")
    page.goto(framed + "sign-in")
    for asked, answer in ((page.context.new_page(), "yes"), (stranger, "no")):
        asked.goto(framed + "told")
        assert TELLS.format(answer) in asked.content()


def test_without_scripts_no_script_of_a_page_runs(page_of: Callable[[str], str], browse: Browse) -> None:
    url = page_of("<p id=p>as served</p><script>p.textContent = 'changed'</script>")
    texts = []
    for scripts in (True, False):
        page = browse(scripts=scripts)
        page.goto(url)
        texts.append(page.inner_text("#p"))
    assert texts == ["changed", "as served"]


@pytest.fixture
def troubles_at(chromium: Chromium, tmp_path: Path) -> Callable[..., str]:
    """What a test would fail with that only opens this page."""

    def ask(url: str, announced: str | None = None) -> str:
        with ExitStack() as profiles:
            browse = Browse(chromium, tmp_path, profiles)
            page = browse(troubles=announced)
            page.goto(url, wait_until="networkidle")
            try:
                browse.assert_no_troubles()
            except AssertionError as error:
                return str(error)
        return ""

    return ask


@pytest.mark.parametrize(
    ("content", "trouble"),
    [
        ("<script>console.error('a complaint')</script>", "a complaint"),
        ("<script>undefinedName()</script>", "undefinedName is not defined"),
        ("<script>fetch('http://example.com/').catch(() => 0)</script>", "net::ERR_NAME_NOT_RESOLVED"),
        ("<img src='/missing' alt=''>", "404"),
    ],
)
def test_what_goes_wrong_on_a_page_fails_its_test_unless_announced(
    content: str, trouble: str, page_of: Callable[[str], str], troubles_at: Callable[..., str]
) -> None:
    url = page_of(content)
    assert trouble in troubles_at(url)
    assert troubles_at(url, announced=f"{trouble}|Failed to load") == ""


def test_a_violation_of_the_content_security_policy_fails_a_test(
    framed: str, page_of: Callable[[str], str], troubles_at: Callable[..., str]
) -> None:
    assert "Content Security Policy" in troubles_at(framed + "strict")
    assert troubles_at(page_of("<script>console.warn('only a hint')</script>")) == ""


def test_a_page_is_pictured_and_checked_in_both_themes_on_both_screens(
    page_of: Callable[[str], str], browse: Browse
) -> None:
    page = browse("phone", "dark")
    page.goto(page_of(PAGE.format("<p>Words.</p>")))
    wanted = {SCREENSHOTS / f"sample-{theme}-{screen}.png" for theme in ("light", "dark") for screen in SCREENS}
    for picture in wanted:
        picture.unlink(missing_ok=True)
    pictured(page, "sample")
    accessible(page)
    assert len({picture.read_bytes() for picture in wanted}) == 4, "no two looks are the same"
    assert page.viewport_size == {"width": 390, "height": 844}
    assert page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("<input>", "light-desktop: label at <input>"),
        ("<p style='color: light-dark(black, #222); background: light-dark(white, #000)'>Words.</p>", "color-contrast"),
        ("<p style='width: 30rem'>Words.</p>", "light-phone: wider than the screen by"),
    ],
)
def test_a_page_that_some_cannot_read_fails_its_test(
    content: str, fault: str, page_of: Callable[[str], str], browse: Browse
) -> None:
    page = browse()
    page.goto(page_of(PAGE.format(content)))
    with pytest.raises(AssertionError, match=fault):
        accessible(page)


def test_unmodified_clients_in_a_page_read_our_metadata(secure: Detent, site: MakeSite, browse: Browse) -> None:
    app = site("localhost", tls=True)
    app.pages["/"] = "<script src='/oidc-client-ts.js'></script><script src='/auth0-spa-js.js'></script>"
    page = browse()
    page.goto(app.url)
    read = """authority => new oidc.MetadataService(new oidc.OidcClientSettingsStore(
        {authority, client_id: 'spa', redirect_uri: location.href})).getTokenEndpoint()"""
    assert page.evaluate(read, secure.issuer) == secure.issuer + "oauth/token"
    assert page.evaluate("typeof auth0.createAuth0Client") == "function"


def test_a_house_on_https_is_trusted_by_those_who_fetch_from_it(secure: Detent) -> None:
    assert secure.secret(secure.sign_in()["access_token"]).status_code == 200
