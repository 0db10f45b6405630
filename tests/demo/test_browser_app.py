"""The demo browser app as files: what its origin serves, under which locks, and that nothing of it came from elsewhere.

What it does in a browser is tested in tests/browser.
"""

import hashlib
import json
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import pytest

from detent.demo.browser_app import browser_app

pytestmark = pytest.mark.quick

ORIGIN = "http://127.0.0.1:3000"
ISSUER, API, AUDIENCE = "http://127.0.0.1:9400/", "http://127.0.0.1:9401/", "https://demo-api.example/"
PAGES = ("/", "/callback", "/signed-out", "/silent", "/privacy")
VENDOR = files("detent.demo") / "browser" / "vendor"
NPM_LOCK = Path(__file__).parents[1] / "browser" / "clients" / "package-lock.json"


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(browser_app(ORIGIN, ISSUER, API, AUDIENCE))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        yield client


class Page(HTMLParser):
    """What a page refers to, and what of it is inline."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.references += [given[name] or "" for name in ("src", "href") if name in given]
        self.inline += [name for name in given if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)


async def test_its_configuration_tells_where_to_sign_in_and_what_to_call(http: httpx.AsyncClient) -> None:
    assert (await http.get("/config.json")).json() == {
        "issuer": ISSUER,
        "client_id": "demo-browser",
        "demo_api": API,
        "audience": AUDIENCE,
        "scope": "openid profile email read write",
    }


@pytest.mark.parametrize("path", PAGES)
async def test_csp3_its_pages_may_reach_their_origin_the_issuer_and_the_api_and_nothing_else(
    path: str, http: httpx.AsyncClient
) -> None:
    page = await http.get(path)
    directives = dict(each.split(" ", 1) for each in page.headers["content-security-policy"].split("; "))
    assert directives == {
        "default-src": "'none'",
        "base-uri": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self' http://127.0.0.1:9400 http://127.0.0.1:9401",
        "frame-src": "'self' http://127.0.0.1:9400",
        "frame-ancestors": "'self'",
        "form-action": "'none'",
    }
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("path", PAGES)
async def test_its_pages_hold_no_inline_script_or_style_and_all_they_refer_to_is_there(
    path: str, http: httpx.AsyncClient
) -> None:
    page = Page((await http.get(path)).text)
    assert page.inline == []
    assert page.references
    for reference in page.references:
        answer = await http.get(reference)
        assert (reference[0], answer.status_code) == ("/", 200), reference


async def test_its_scripts_import_only_what_is_served_as_a_script(http: httpx.AsyncClient) -> None:
    to_read, read = ["/app.js", "/silent.js", "/vendor/oidc-client-ts.min.js"], set()
    while to_read:
        path = to_read.pop()
        script = await http.get(path)
        assert (script.status_code, script.headers["content-type"]) == (200, "text/javascript; charset=utf-8"), path
        read.add(path)
        to_read += {each for each in re.findall(r'^import .* from "(.*)";$', script.text, re.M) if each not in read}
    assert {"/screen.js", "/tokens.js", "/keeping.js", "/story.js"} <= read


@pytest.mark.parametrize("host", ["localhost:3000", "[::1]:3000", "evil.example", "127.0.0.1:3001"])
async def test_under_any_other_name_it_leads_to_its_own(host: str, http: httpx.AsyncClient) -> None:
    elsewhere = await http.get("//evil.example/callback?code=x", headers={"host": host})
    assert elsewhere.status_code == 307
    assert elsewhere.headers["location"].startswith(f"{ORIGIN}/")


async def test_what_is_not_there_is_404_and_under_the_same_locks(http: httpx.AsyncClient) -> None:
    for path in ("/nowhere", "/vendor/", "/vendor/../app.py", "/%2e%2e/web_app.py"):
        lost = await http.get(path)
        assert (lost.status_code, "default-src 'none'" in lost.headers["content-security-policy"]) == (404, True), path


def test_oidc_client_ts_is_byte_for_byte_what_was_published() -> None:
    recorded: dict[str, Any] = json.loads((VENDOR / "vendored.json").read_text())
    for name, each in recorded["files"].items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == each["sha256"], name
    locked = json.loads(NPM_LOCK.read_text())["packages"][f"node_modules/{recorded['package']}"]
    assert locked["version"] == recorded["version"], "the browser tests drive another one"
