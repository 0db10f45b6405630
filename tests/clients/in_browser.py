"""A browser app of programs/ in Chromium, on an origin of its own, and what a person and a thief do with it.

Each puts one object on its pages, `app`: signIn, refresh (the access token), revoke, signOut, name (of the person).
"""

import json
from typing import Any, Final

from playwright.sync_api import Page

from tests.browser.apps import sign_in
from tests.browser.site import Site
from tests.clients.example import Example
from tests.clients.life import TURNS
from tests.clients.program import PROGRAMS, client_environment, node_package

USUAL: Final = "http://127.0.0.1:5173"  # the app's origin on its page in docs/clients/
PAGE: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>An app</title>
<link rel="icon" href="data:,">
<script>Object.assign(window, {settings})</script>
<script type="importmap">{imports}</script>
<script type="module" src="/app.mjs"></script>"""


class App:
    """One tab with the app."""

    def __init__(self, page: Page, site: Site) -> None:
        self.page = page
        self.site = site

    def open(self, path: str = "") -> "App":
        self.page.goto(self.site.url + path)
        return self._loaded()

    def sign_in(self) -> str | None:
        """The name of the person whom the app then knows."""
        self.page.evaluate("void app.signIn()")
        self.page.wait_for_url(lambda url: not url.startswith(self.site.url) or "code=" in url)
        if not self.page.url.startswith(self.site.url):
            sign_in(self.page)
        self.page.wait_for_url(self.site.url)
        name: str | None = self._loaded().ask("name")
        return name

    def ask(self, what: str) -> Any:
        """What the app answers; of an error its fields, as the library throws them."""
        told = "error => ({name: error.constructor.name, error: error.error, message: error.message})"
        return self.page.evaluate(f"app.{what}().catch({told})")

    def sign_out(self) -> None:
        """And see that the server knows nobody any more."""
        self.page.evaluate("void app.signOut()")
        self.page.wait_for_url(f"{self.site.url}signed-out**")
        assert self._loaded().ask("name") is None
        self.page.evaluate("void app.signIn()")
        self.page.wait_for_url("**/login?**")

    def storage(self) -> str:
        stored: str = self.page.evaluate("JSON.stringify({...localStorage})")
        return stored

    def store(self, storage: str) -> None:
        """As somebody would who has a copy."""
        self.page.evaluate("text => Object.assign(localStorage, JSON.parse(text)) && 0", storage)

    def _loaded(self) -> "App":
        self.page.wait_for_function("window.app")
        return self


def serve(example: Example, site: Site, name: str, modules: dict[str, str], **settings: str) -> None:
    """The program NAME on every page of this site, registered by its page's line; `modules` are those it imports."""
    document = example.registered(name, **{USUAL: site.origin})
    site.files["/app.mjs"] = PROGRAMS / f"{name}.mjs"
    site.files |= {f"/modules/{package}.js": node_package(path) for package, path in modules.items()}
    told = client_environment(example.detent.issuer, document) | settings
    imports = {"imports": {package: f"/modules/{package}.js" for package in modules}}
    page = PAGE.replace("{settings}", json.dumps(told)).replace("{imports}", json.dumps(imports))
    site.pages |= dict.fromkeys(("/", "/callback", "/signed-out"), page)


def refreshed_five_times(example: Example, app: App) -> None:
    tokens = [app.ask("refresh") for _ in range(TURNS)]
    assert len(set(tokens)) == TURNS
    assert [example.secret_area(token) for token in tokens] == [200] * TURNS
    assert all(map(example.active, tokens))
