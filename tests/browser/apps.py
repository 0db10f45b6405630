"""Browser apps that tests write on top of unmodified client libraries, each on an origin of its own."""

import json
from typing import Any

from playwright.sync_api import Page

from detent.core.changes import InsertClient
from tests.browser.site import Site
from tests.serving import API, Detent, client

SCOPE = "openid profile email read offline_access"
OIDC_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>An app</title>
<link rel="icon" href="data:,">
<script src="/oidc-client-ts.js"></script><script>
const settings = {settings};
settings.userStore = new oidc.WebStorageStateStore({{store: window.localStorage}});
if (settings.bound) settings.dpop = {{bind_authorization_code: true, store: new oidc.IndexedDbDPoPStore()}};
window.manager = new oidc.UserManager(settings);
</script>"""
AUTH0_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>An app</title>
<link rel="icon" href="data:,">
<script src="/auth0-spa-js.js"></script><script>
window.app = new auth0.Auth0Client({settings});
</script>"""


def registered(detent: Detent, site: Site, client_id: str = "demo", **more: Any) -> str:
    """A browser app whose pages this site serves."""
    keys: Any = detent.house.outside.keys
    fields = {
        "redirect_uris": (site.url + "callback", site.url, site.origin),
        "post_logout_redirect_uris": (site.url + "bye", site.url, site.origin),
        "web_origins": (site.origin,),
        "client_name": "A browser app",
    }
    detent.apply(InsertClient(client(client_id, "browser", keys, **(fields | more))))
    return client_id


def oidc_client_ts(detent: Detent, site: Site, client_id: str = "demo", **settings: Any) -> Site:
    """The app on oidc-client-ts: `manager` is its UserManager on every page. `bound`: its tokens are bound to a key."""
    told = {
        "authority": detent.issuer,
        "client_id": client_id,
        "redirect_uri": site.url + "callback",
        "silent_redirect_uri": site.url + "callback",
        "post_logout_redirect_uri": site.url + "bye",
        "scope": SCOPE,
        "automaticSilentRenew": False,
    }
    for path in ("/", "/callback", "/bye"):
        site.pages[path] = OIDC_PAGE.format(settings=json.dumps(told | settings))
    return site


def auth0_spa_js(detent: Detent, site: Site, client_id: str = "demo", **settings: Any) -> Site:
    """The app on auth0-spa-js: `app` is its Auth0Client."""
    told = {
        "domain": detent.issuer.rstrip("/"),
        "clientId": client_id,
        "authorizationParams": {"redirect_uri": site.url + "callback", "scope": "profile email read", "audience": API},
    }
    for path in ("/", "/callback", "/bye"):
        site.pages[path] = AUTH0_PAGE.format(settings=json.dumps(told | settings))
    return site


def sign_in(page: Page, username: str = "test", password: str = "test") -> None:
    """On our pages, whichever come, until the browser is on its way to the app; nothing where it is there already."""
    if "/callback" in page.url:
        return
    page.locator("#username, #consent-accept").first.wait_for()
    if page.locator("#username").count():
        page.fill("#username", username)
        page.fill("#password", password)
        page.click("#login")
        page.wait_for_url(lambda url: "/login" not in url)
    if "/consent" in page.url:
        page.click("#consent-accept")
