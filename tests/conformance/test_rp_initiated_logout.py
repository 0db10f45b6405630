"""The modules of the suite's plan oidcc-rp-initiated-logout-certification, each as one test of its name."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browsing import Page
from tests.conformance.relying_party import RelyingParty
from tests.serving import RETURN_URI, Detent

STATE = "a-state-to-return"


@pytest.fixture
def party(provider: Detent) -> Iterator[RelyingParty]:
    with RelyingParty(provider) as party:
        yield party


def leave(party: RelyingParty, **change: str | None) -> Page:
    """To the end-session endpoint with all that the suite sends; None leaves a parameter out."""
    given = {"post_logout_redirect_uri": RETURN_URI, "state": STATE, **change}
    if "id_token_hint" not in given:
        given["id_token_hint"] = party.tokens()["id_token"]
    parameters = {name: value for name, value in given.items() if value is not None}
    return party.browser.open(party.told["end_session_endpoint"], params=parameters)


def signed_in(party: RelyingParty) -> bool:
    return "code" in party.answer(party.ask(prompt="none"))


def assert_stays_here(page: Page) -> None:
    assert "location" not in page.response.headers
    assert page.error == "invalid_request"
    assert page.support_id


def confirmed(party: RelyingParty, page: Page) -> Page:
    """The person is asked before anything happens, and says yes."""
    assert (page.status, page.path) == (200, "/logout")
    assert signed_in(party)
    return party.browser.press(page, "logout-confirm")


def test_oidcc_rp_initiated_logout_discovery_endpoint_verification(party: RelyingParty) -> None:
    assert party.told["end_session_endpoint"].startswith(party.told["issuer"])


def test_oidcc_rp_initiated_logout(party: RelyingParty) -> None:
    page = leave(party)
    assert page.location == f"{RETURN_URI}?state={STATE}"
    assert party.answer(party.ask(prompt="none"))["error"] == "login_required"


def test_oidcc_rp_initiated_logout_bad_post_logout_redirect_uri(party: RelyingParty) -> None:
    assert_stays_here(leave(party, post_logout_redirect_uri=f"{RETURN_URI}/other"))
    assert signed_in(party)


def test_oidcc_rp_initiated_logout_modified_id_token_hint(party: RelyingParty) -> None:
    head, payload, signature = party.tokens()["id_token"].split(".")
    turned = "A" if signature[5] != "A" else "B"
    assert_stays_here(leave(party, id_token_hint=f"{head}.{payload}.{signature[:5]}{turned}{signature[6:]}"))
    assert signed_in(party)


def test_oidcc_rp_initiated_logout_no_id_token_hint(party: RelyingParty) -> None:
    party.tokens()
    assert_stays_here(leave(party, id_token_hint=None))
    assert signed_in(party)


def test_oidcc_rp_initiated_logout_no_params(party: RelyingParty) -> None:
    party.tokens()
    page = confirmed(party, leave(party, id_token_hint=None, post_logout_redirect_uri=None, state=None))
    assert_signed_out(party, page)


def test_oidcc_rp_initiated_logout_no_post_logout_redirect_uri(party: RelyingParty) -> None:
    assert_signed_out(party, leave(party, post_logout_redirect_uri=None))


def test_oidcc_rp_initiated_logout_no_state(party: RelyingParty) -> None:
    assert leave(party, state=None).location == RETURN_URI
    assert not signed_in(party)


def test_oidcc_rp_initiated_logout_only_state(party: RelyingParty) -> None:
    party.tokens()
    assert_signed_out(party, confirmed(party, leave(party, id_token_hint=None, post_logout_redirect_uri=None)))


def test_oidcc_rp_initiated_logout_query_added_to_post_logout_redirect_uri(party: RelyingParty) -> None:
    assert_stays_here(leave(party, post_logout_redirect_uri=f"{RETURN_URI}?foo=bar"))
    assert signed_in(party)


@pytest.mark.parametrize("hint", ["bad", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
def test_oidcc_rp_initiated_logout_bad_id_token_hint(party: RelyingParty, hint: str) -> None:
    party.tokens()
    assert_stays_here(leave(party, id_token_hint=hint))
    assert signed_in(party)


def assert_signed_out(party: RelyingParty, page: Page) -> None:
    known: dict[str, Any] = {"status": page.status, "path": page.path}
    assert known == {"status": 200, "path": "/signed-out"}
    assert not signed_in(party)
