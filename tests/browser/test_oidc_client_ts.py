"""Unmodified oidc-client-ts in a real browser: sign-in, consent, code + PKCE, silent refreshes, sign-out, and theft."""

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.apps import oidc_client_ts, registered, sign_in
from tests.browser.people import Browse
from tests.browser.site import MakeSite, Site
from tests.mission.test_a_tokens import claims_of
from tests.serving import VAULT, Detent

SILENT = "manager.signinSilent().then(user => user && user.toStorageString()).catch(error => String(error))"
STORED = "manager.getUser().then(user => user && JSON.parse(user.toStorageString()))"
Tokens = dict[str, Any]


@pytest.fixture
def app(detent: Detent, site: MakeSite) -> Site:
    served = site()
    registered(detent, served)
    return oidc_client_ts(detent, served)


def signed_in(page: Page, app: Site) -> Tokens:
    """From the app's first page through ours and back."""
    page.goto(app.url)
    page.evaluate("void manager.signinRedirect()")
    page.wait_for_url(lambda url: "/login" in url or "/consent" in url or "/callback" in url)
    sign_in(page)
    page.wait_for_url(f"{app.url}callback?**")
    page.evaluate("manager.signinRedirectCallback().then(() => 0)")
    return stored(page)


def stored(page: Page) -> Tokens:
    tokens: Tokens = page.evaluate(STORED)
    return tokens


def test_sign_in_consent_code_five_silent_refreshes_and_sign_out(detent: Detent, app: Site, browse: Browse) -> None:
    page = browse()
    chain = [signed_in(page, app)]
    assert chain[0]["profile"]["email"] == "test@example.com"
    for _ in range(5):
        assert page.evaluate(SILENT).startswith("{")
        chain.append(stored(page))
        assert detent.secret(chain[-1]["access_token"]).status_code == 200
    assert len({each["refresh_token"] for each in chain}) == 6, "each turned"
    assert len({claims_of(each["id_token"])["sid"] for each in chain}) == 1

    page.evaluate("void manager.signoutRedirect()")
    page.wait_for_url(f"{app.url}bye**")
    page.evaluate("manager.signoutRedirectCallback().then(() => 0)")
    assert page.evaluate(STORED) is None
    page.goto(app.url)
    page.evaluate("void manager.signinRedirect()")
    page.wait_for_url("**/login?**")


def test_b7_without_refresh_tokens_the_session_signs_in_silently_in_a_hidden_frame(
    detent: Detent, site: MakeSite, browse: Browse
) -> None:
    served = site()
    registered(detent, served, grant_types=("authorization_code",))
    app = oidc_client_ts(detent, served, scope="openid profile read")
    app.pages["/callback"] += "<script>if (window !== parent) manager.signinSilentCallback()</script>"
    page = browse()
    first = signed_in(page, app)
    assert "refresh_token" not in first
    assert page.evaluate(SILENT).startswith("{")
    assert stored(page)["access_token"] != first["access_token"]


def test_b10_to_b12_the_theft_with_two_browsers(detent: Detent, site: MakeSite, browse: Browse) -> None:
    """The thief has a copy of the owner's storage, as a malicious script would take it."""
    served = site()
    registered(detent, served)
    app = oidc_client_ts(detent, served, resource=VAULT)
    owner, thief = browse(), browse(troubles="status of 400|ErrorResponse")
    rt1 = signed_in(owner, app)
    thief.goto(app.url)
    thief.evaluate("text => manager.storeUser(oidc.User.fromStorageString(text)).then(() => 0)", _as_text(owner))
    assert owner.evaluate(SILENT).startswith("{")
    rt2 = stored(owner)
    assert detent.introspect(rt2["access_token"], "demo-api")["active"]

    assert "Unknown or invalid refresh token" in thief.evaluate(SILENT)
    for token in (rt1, rt2):
        assert detent.introspect(token["access_token"], "demo-api") == {"active": False}
    assert "Unknown or invalid refresh token" in owner.evaluate(SILENT), "the owner's newest died in that moment"

    again = signed_in(owner, app)  # no password: the server's own session is no part of what was stolen
    assert detent.secret(again["access_token"], "/opaque/secret").status_code == 200
    assert "Unknown or invalid refresh token" in thief.evaluate(SILENT)


def test_b13_the_same_if_the_thief_is_first(detent: Detent, app: Site, browse: Browse) -> None:
    owner, thief = browse(), browse(troubles="status of 400|ErrorResponse")
    signed_in(owner, app)
    thief.goto(app.url)
    thief.evaluate("text => manager.storeUser(oidc.User.fromStorageString(text)).then(() => 0)", _as_text(owner))
    assert thief.evaluate(SILENT).startswith("{")
    assert "Unknown or invalid refresh token" in owner.evaluate(SILENT)
    assert "Unknown or invalid refresh token" in thief.evaluate(SILENT)


def test_tokens_may_be_kept_in_memory_alone(detent: Detent, site: MakeSite, browse: Browse) -> None:
    served = site()
    registered(detent, served)
    app = oidc_client_ts(detent, served)
    for path in app.pages:
        app.pages[path] = app.pages[path].replace("window.localStorage", "new oidc.InMemoryWebStorage()")
    page = browse()
    signed_in(page, app)
    assert page.evaluate(SILENT).startswith("{")
    assert page.evaluate("Object.keys(localStorage).filter(key => localStorage[key].includes('dtrt_'))") == []


def _as_text(page: Page) -> str:
    text: str = page.evaluate("manager.getUser().then(user => user.toStorageString())")
    return text


def test_rfc9449_with_dpop_code_and_tokens_are_bound_and_the_api_takes_them_with_a_proof(
    detent: Detent, site: MakeSite, browse: Browse
) -> None:
    served = site()
    registered(detent, served, extra={"dpop_bound_access_tokens": True})
    page = browse(troubles="status of 400")  # the server asks for its nonce
    chain = [signed_in(page, oidc_client_ts(detent, served, bound=True))]
    for _ in range(3):
        assert page.evaluate(SILENT).startswith("{")
        chain.append(stored(page))
    assert {each["token_type"] for each in chain} == {"DPoP"}
    assert len({each["refresh_token"] for each in chain}) == 1, "bound, it need not turn"
    token = chain[-1]["access_token"]
    assert detent.secret(token).status_code == 401, "it is no bearer token"
    url = f"{detent.api.base_url}secret"
    proof = page.evaluate("url => manager.getUser().then(user => manager.dpopProof(url, user, 'GET'))", url)
    headers = {"Authorization": f"DPoP {token}", "DPoP": proof}
    assert [detent.api.get("/secret", headers=headers).status_code for _ in range(2)] == [200, 401], "once"
