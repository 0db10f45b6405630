"""Mission B16: an app on another site than ours, over https, where the browser blocks third-party cookies."""

from typing import Any

import pytest

from tests.browser.apps import oidc_client_ts, registered
from tests.browser.people import Browse
from tests.browser.site import MakeSite, Site
from tests.browser.test_oidc_client_ts import SILENT, signed_in, stored
from tests.serving import Detent


def another_site(secure: Detent, site: MakeSite, **settings: Any) -> Site:
    """The issuer is on https://localhost, the app on https://127.0.0.1: another site, not only another origin."""
    served = site("127.0.0.1", tls=True)
    registered(secure, served)
    return oidc_client_ts(secure, served, **settings)


def test_b16_with_refresh_tokens_an_app_works_where_third_party_cookies_are_blocked(
    secure: Detent, site: MakeSite, browse: Browse
) -> None:
    page = browse(third_party_cookies=False)
    first = signed_in(page, another_site(secure, site))
    for _ in range(5):
        assert page.evaluate(SILENT).startswith("{")
    assert stored(page)["refresh_token"] != first["refresh_token"]
    page.evaluate("void manager.signoutRedirect()")
    page.wait_for_url("**/bye**")


@pytest.mark.parametrize("allowed", [True, False])
def test_b16_a_hidden_frame_works_only_where_they_are_allowed(
    secure: Detent, site: MakeSite, browse: Browse, allowed: bool
) -> None:
    """So that the test above proves something: the same session, by cookie alone."""
    app = another_site(secure, site, scope="openid read")
    app.pages["/callback"] += "<script>if (window !== parent) manager.signinSilentCallback()</script>"
    page = browse(third_party_cookies=allowed, troubles="login_required")
    signed_in(page, app)
    page.evaluate("manager.removeUser()")
    answer = page.evaluate(SILENT)
    assert answer.startswith("{") if allowed else "login_required" in answer or "Nobody is signed in" in answer, answer
