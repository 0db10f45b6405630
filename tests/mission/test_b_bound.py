"""Mission B3 and B21: with tokens bound to a key the server can tell owner from thief (RFC 9449). Over HTTP."""

from typing import Any

import pytest

from tests.attacks.outcomes import assert_refused
from tests.browsing import Browser
from tests.mission.test_a_tokens import claims_of
from tests.proving import Holder, at_api
from tests.serving import API, VAULT, Detent

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("client", ["spa", "app", "web"])
def test_b3_from_sign_in_to_api_every_token_is_bound_to_the_apps_key(standing: Detent, client: str) -> None:
    holder = Holder(standing)
    with Browser(standing) as browser:
        code = browser.sign_in(client, scope="openid profile read", resource=API, dpop_jkt=holder.jkt)["code"]
    tokens = holder.redeem(client, code).json()
    for _ in range(2):
        assert tokens["token_type"] == "DPoP"
        assert claims_of(tokens["access_token"])["cnf"] == {"jkt": holder.jkt}
        assert holder.userinfo(tokens["access_token"]).json()["name"] == "Test Person"
        assert at_api(holder, tokens["access_token"]).json()["message"] == "This is the secret area."
        tokens = holder.refresh(client, tokens["refresh_token"]).json()


def test_b3_an_opaque_token_is_bound_too_and_introspection_says_so(standing: Detent) -> None:
    holder = Holder(standing)
    token = holder.sign_in(resource=(VAULT,))["access_token"]
    told = standing.introspect(token, "demo-api")
    assert (told["token_type"], told["cnf"]) == ("DPoP", {"jkt": holder.jkt})
    assert at_api(holder, token, "/opaque/secret").status_code == 200
    assert standing.secret(token, "/opaque/secret").status_code == 401


def test_b3_a_stolen_access_token_opens_nothing(standing: Detent) -> None:
    owner, thief = Holder(standing), Holder(standing)
    token = owner.sign_in(scope="openid read")["access_token"]

    as_bearer = standing.secret(token)
    assert (as_bearer.status_code, as_bearer.json()["error"]) == (401, "invalid_token")
    assert as_bearer.headers["www-authenticate"].startswith('DPoP realm="api", algs="ES256 ')
    assert at_api(thief, token).json()["error"] == "invalid_token"
    thief.nonce = owner.nonce
    assert thief.userinfo(token).json()["error"] == "invalid_token"
    assert at_api(owner, token).status_code == 200


def test_b21_without_the_key_a_thief_is_told_from_the_owner_who_notices_nothing(standing: Detent) -> None:
    """As B10 to B13, but bound: whoever comes first, whatever the thief presents, the owner goes on."""
    owner, thief = Holder(standing), Holder(standing)
    mine = owner.sign_in("spa")
    stolen = mine["refresh_token"]
    for _ in range(3):
        assert_refused(standing.refresh("spa", stolen))
        assert_refused(thief.refresh("spa", stolen))
        standing.clock.advance(120)
        mine = owner.refresh("spa", mine["refresh_token"]).json()
        assert mine["refresh_token"] == stolen
    assert at_api(owner, mine["access_token"]).status_code == 200


def test_b21_a_public_clients_sign_in_cannot_be_bound_later(standing: Detent) -> None:
    """Else a thief could bind what he stole (docs/family.md): the family stays what it was born as, and rotates."""
    owner, thief = Holder(standing), Holder(standing)
    plain = standing.sign_in("spa")
    stolen: Any = thief.refresh("spa", plain["refresh_token"]).json()
    assert stolen["token_type"] == "DPoP", "his access token is bound to his key"
    assert standing.family(stolen["refresh_token"], "spa").authorization.cnf.is_bearer, "the family is not"
    assert_refused(standing.refresh("spa", plain["refresh_token"]))
    assert_refused(thief.refresh("spa", stolen["refresh_token"]))  # reuse has ended it for both
    assert owner.sign_in("spa")["token_type"] == "DPoP"
