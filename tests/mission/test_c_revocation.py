"""Mission C, the rows that hold for every refresh token: narrowing, and logout by revocation. Over HTTP."""

import pytest

from tests.mission.test_a_tokens import claims_of
from tests.serving import Detent

pytestmark = pytest.mark.quick


def test_c4_a_refresh_yields_identical_or_narrower_scope_and_narrowing_does_not_stick(detent: Detent) -> None:
    first = detent.sign_in(scope="read write")
    narrow = detent.refreshed("testclient", first["refresh_token"], scope="read")
    assert (narrow["scope"], claims_of(narrow["access_token"])["scope"]) == ("read", "read")

    again = detent.refreshed("testclient", narrow["refresh_token"])
    assert again["scope"].split() == ["read", "write"]

    wider = detent.refresh("testclient", again["refresh_token"], scope="read write reports")
    assert (wider.status_code, wider.json()["error"]) == (400, "invalid_scope")
    assert detent.refresh("testclient", again["refresh_token"]).status_code == 200, "the refusal spent nothing"


@pytest.mark.parametrize("generation", [0, 1, 2])
def test_c5_logout_kills_an_unexpired_refresh_token_by_any_generation(detent: Detent, generation: int) -> None:
    chain = [detent.sign_in()]
    for _ in range(2):
        chain.append(detent.refreshed("testclient", chain[-1]["refresh_token"]))

    assert detent.revoke(chain[generation]["refresh_token"]).status_code == 200

    assert detent.refresh("testclient", chain[-1]["refresh_token"]).json()["error"] == "invalid_grant"
    assert [detent.introspect(each["access_token"]) for each in chain] == [{"active": False}] * 3
