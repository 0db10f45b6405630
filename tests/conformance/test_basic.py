"""The modules of the suite's plans oidcc-basic-certification and oidcc-formpost-basic-certification, and those that the
comprehensive plan shares with them, each as one test of its name: for clients registered by hand and by themselves.

Refresh tokens rotate in all of them. Where the suite only warns, and we choose the warning, the test says so.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest

from detent.core.authorization import code_challenge_s256
from detent.core.people import CLAIMS_OF_SCOPE
from tests.conformance.modules import Variant
from tests.conformance.relying_party import NONCE, STATE, RelyingParty, ask_to_register, party_of, unsigned
from tests.published import Published
from tests.serving import REDIRECT_URI, VERIFIER, Detent

PERSONAL = {claim for claims in CLAIMS_OF_SCOPE.values() for claim in claims}
REFUSALS = ("request_not_supported", "invalid_request_object", "invalid_request")


def test_oidcc_server(party: RelyingParty) -> None:
    tokens = party.tokens()
    party.userinfo(tokens)
    assert not PERSONAL & party.id_token(tokens).keys(), "claims that nobody asked for"


def test_oidcc_response_type_missing(party: RelyingParty) -> None:
    page = party.ask(response_type=None)
    assert party.answer(page)["error"] == "invalid_request"
    assert party.answer(page)["state"] == STATE


def test_oidcc_userinfo_get(party: RelyingParty) -> None:
    party.userinfo(party.tokens(), "GET")


def test_oidcc_userinfo_post_header(party: RelyingParty) -> None:
    party.userinfo(party.tokens(), "POST")


def test_oidcc_userinfo_post_body(provider: Detent, party: RelyingParty) -> None:
    """A warning by choice (RFC 9700 §4.3.2, FAPI 2.0 §5.3.4): a token has one place, and it is the header."""
    form = {"access_token": party.tokens()["access_token"]}
    refused = provider.http.post(party.told["userinfo_endpoint"], data=form)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")


def test_oidcc_ensure_request_without_nonce_succeeds_for_code_flow(party: RelyingParty) -> None:
    party.tokens(nonce=None)


def test_oidcc_scope_profile(party: RelyingParty) -> None:
    assert_scope(party, "profile")


def test_oidcc_scope_email(party: RelyingParty) -> None:
    assert_scope(party, "email")


def test_oidcc_scope_address(party: RelyingParty) -> None:
    assert_scope(party, "address")


def test_oidcc_scope_phone(party: RelyingParty) -> None:
    assert_scope(party, "phone")


def assert_scope(party: RelyingParty, scope: str) -> None:
    tokens = party.tokens(scope=f"openid {scope}")
    told = party.userinfo(tokens)
    assert told.keys() == {"sub", *CLAIMS_OF_SCOPE[scope]}
    assert_types(told)
    assert not PERSONAL & party.id_token(tokens).keys()


def test_oidcc_scope_all(party: RelyingParty) -> None:
    told = party.userinfo(party.tokens(scope="openid profile email address phone"))
    assert told.keys() == {"sub", *PERSONAL}
    assert_types(told)


def assert_types(told: dict[str, Any]) -> None:
    """OpenID Connect Core §5.1, as the suite reads it."""
    kinds = {"updated_at": int, "email_verified": bool, "phone_number_verified": bool, "address": dict}
    for name, value in told.items():
        assert type(value) is kinds.get(name, str), name
        assert value != ""


def test_oidcc_alternate_happy_flow(party: RelyingParty) -> None:
    """Scopes and parameters in another order; and what has reserved characters in it comes back as it went."""
    odd = 'state with "quotes" & ampersand = 100% +/?#'
    answer = party.answer(party.sign_in(backwards=True, scope="email openid", state=odd))
    assert answer["state"] == odd
    assert party.userinfo(party.checked(party.redeem(answer["code"]), NONCE)).keys() >= {"email", "email_verified"}


def test_oidcc_display_page(party: RelyingParty) -> None:
    party.tokens(display="page")


def test_oidcc_display_popup(party: RelyingParty) -> None:
    party.tokens(display="popup")


def test_oidcc_prompt_login(provider: Detent, party: RelyingParty) -> None:
    first = party.id_token(party.tokens())
    provider.clock.advance(2)
    page = party.ask(prompt="login")
    assert page.path == "/login", "a second time, for the screenshot"
    answer = party.answer(party.browser.allow(party.browser.log_in(page)))
    second = party.id_token(party.checked(party.redeem(answer["code"]), NONCE))
    assert second["auth_time"] > first["auth_time"]
    assert second["sub"] == first["sub"]


def test_oidcc_prompt_none_not_logged_in(party: RelyingParty) -> None:
    answer = party.answer(party.ask(prompt="none"))
    assert answer["error"] in ("login_required", "interaction_required")
    assert "code" not in answer


def test_oidcc_prompt_none_logged_in(provider: Detent, party: RelyingParty) -> None:
    first = party.id_token(party.tokens())
    provider.clock.advance(2)
    answer = party.answer(party.ask(prompt="none"))
    second = party.id_token(party.checked(party.redeem(answer["code"]), NONCE))
    assert (second["sub"], second["auth_time"]) == (first["sub"], first["auth_time"])


def test_oidcc_max_age_1(provider: Detent, party: RelyingParty) -> None:
    first = party.id_token(party.tokens())
    provider.clock.advance(2)
    page = party.ask(max_age="1")
    assert page.path == "/login"
    answer = party.answer(party.browser.allow(party.browser.log_in(page)))
    second = party.id_token(party.checked(party.redeem(answer["code"]), NONCE))
    assert second["auth_time"] > first["auth_time"]
    assert second["iat"] - second["auth_time"] <= 1


def test_oidcc_max_age_10000(provider: Detent, party: RelyingParty) -> None:
    first = party.id_token(party.tokens(max_age="15000"))
    provider.clock.advance(2)
    page = party.ask(max_age="10000")
    second = party.id_token(party.checked(party.redeem(party.answer(page)["code"]), NONCE))
    assert (second["sub"], second["auth_time"]) == (first["sub"], first["auth_time"])


def test_oidcc_ensure_request_with_unknown_parameter_succeeds(party: RelyingParty) -> None:
    party.tokens(extra="foobar")


def test_oidcc_id_token_hint(party: RelyingParty) -> None:
    tokens = party.tokens()
    answer = party.answer(party.ask(prompt="none", id_token_hint=tokens["id_token"]))
    again = party.checked(party.redeem(answer["code"]), NONCE)
    first, second = party.id_token(tokens), party.id_token(again)
    assert (second["sub"], second["auth_time"]) == (first["sub"], first["auth_time"])


def test_oidcc_id_token_hint_of_somebody_else_is_not_answered_by_who_is_there(provider: Detent) -> None:
    """OpenID Connect Core §3.1.2.1; the suite has no second person for this."""
    with RelyingParty(provider) as of_ada:
        answer = of_ada.browser.allow(of_ada.browser.log_in(of_ada.ask(), "ada", "lovelace")).answer
        of_ada_token = of_ada.redeem(answer["code"]).json()["id_token"]
    with RelyingParty(provider) as party:
        party.tokens()
        assert party.answer(party.ask(prompt="none", id_token_hint=of_ada_token))["error"] == "login_required"
        assert party.ask(id_token_hint=of_ada_token).path == "/login"


def test_oidcc_login_hint(party: RelyingParty) -> None:
    page = party.ask(login_hint="test")
    assert page.forms[0]["fields"]["username"] == "test"
    party.tokens(login_hint="bob@example.com")


def test_oidcc_ui_locales(party: RelyingParty) -> None:
    party.tokens(ui_locales="se fr-CA fr")


def test_oidcc_claims_locales(party: RelyingParty) -> None:
    party.tokens(scope="openid profile", claims_locales="se")


def test_oidcc_ensure_request_with_acr_values_succeeds(party: RelyingParty) -> None:
    supported = party.told["acr_values_supported"]
    assert party.id_token(party.tokens(acr_values=" ".join(supported)))["acr"] in supported
    assert party.id_token(party.tokens(acr_values="1 2", prompt="login"))["acr"] in supported, "a wish, no condition"


def test_oidcc_codereuse(party: RelyingParty) -> None:
    assert_codereuse(party, 0)


def test_oidcc_codereuse_30seconds(party: RelyingParty) -> None:
    assert_codereuse(party, 30)


def assert_codereuse(party: RelyingParty, seconds: int) -> None:
    """What the first use issued is dead, too."""
    provider, code = party.detent, party.code()
    tokens = party.checked(party.redeem(code), NONCE)
    party.userinfo(tokens)
    provider.clock.advance(seconds)
    again = party.redeem(code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert provider.http.get(party.told["userinfo_endpoint"], headers=bearer).status_code == 401


def test_oidcc_ensure_registered_redirect_uri(party: RelyingParty) -> None:
    page = party.ask(redirect_uri=f"{REDIRECT_URI}/other")
    assert (page.status, page.error) == (400, "invalid_request")


def test_oidcc_ensure_post_request_succeeds(party: RelyingParty) -> None:
    page = party.ask("POST")
    answer = party.answer(party.browser.allow(party.browser.log_in(page)))
    party.checked(party.redeem(answer["code"]), NONCE)


@pytest.mark.parametrize("registration", ["static", "dynamic"])
@pytest.mark.parametrize("response_mode", [None, "form_post"])
def test_oidcc_server_client_secret_post(provider: Detent, registration: Any, response_mode: Any) -> None:
    with party_of(provider, Variant(registration, "client_secret_post", response_mode)) as party:
        party.userinfo(party.tokens())


def test_oidcc_unsigned_request_object_supported_correctly_or_rejected_as_unsupported(party: RelyingParty) -> None:
    answer = party.answer(party.ask(request=unsigned({"client_id": party.name, "scope": "openid", "nonce": "x"})))
    assert answer["error"] in REFUSALS
    assert "code" not in answer


def test_oidcc_claims_essential(party: RelyingParty) -> None:
    asked = json.dumps({"userinfo": {"name": {"essential": True}}})
    tokens = party.tokens(claims=asked)
    told = party.userinfo(tokens)
    assert told.keys() == {"sub", "name"}
    assert told["name"] == "Test Person"
    assert not PERSONAL & party.id_token(tokens).keys()


def test_oidcc_ensure_request_object_with_redirect_uri(party: RelyingParty) -> None:
    """Unsigned it is refused, as above; signed, what it says of the redirect URI wins over the query."""
    page = party.ask(request=unsigned({"redirect_uri": REDIRECT_URI, "response_type": "code"}))
    assert party.answer(page)["error"] in REFUSALS


def test_oidcc_refresh_token(provider: Detent, party: RelyingParty) -> None:
    tokens = party.tokens(scope="openid offline_access", prompt="consent")
    for _ in range(3):
        provider.clock.advance(61)
        before, tokens = tokens, party.checked(party.refresh(tokens["refresh_token"]))
        old, new = party.id_token(before), party.id_token(tokens)
        assert tokens["access_token"] != before["access_token"]
        assert tokens["refresh_token"] != before["refresh_token"], "it rotates"
        assert {name: new[name] for name in ("iss", "sub", "aud", "auth_time", "azp")} == {
            name: old[name] for name in ("iss", "sub", "aud", "auth_time", "azp")
        }
        assert new["iat"] > old["iat"]
        party.userinfo(tokens)
    with party_of(provider, party.variant, second=True) as other:
        refused = other.refresh(tokens["refresh_token"])
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
        assert "no-store" in refused.headers["cache-control"]
    party.checked(party.refresh(tokens["refresh_token"]))


def test_oidcc_ensure_request_with_valid_pkce_succeeds(party: RelyingParty) -> None:
    code = party.code(code_challenge=code_challenge_s256(VERIFIER), code_challenge_method="S256")
    assert party.redeem(code).json()["error"] == "invalid_grant", "the verifier is not left out"
    party.checked(party.redeem(code, code_verifier=VERIFIER), NONCE)


# Of clients that registered themselves alone


def test_oidcc_idtoken_signature(newcomer: Callable[..., RelyingParty]) -> None:
    """`RelyingParty.id_token` verifies it by the published keys, with `kid`."""
    newcomer().tokens()


def test_oidcc_idtoken_unsigned(provider: Detent, newcomer: Callable[..., RelyingParty]) -> None:
    """Skipped by the suite where it is not advertised; and whoever asks for it is told no."""
    assert "none" not in newcomer().told["id_token_signing_alg_values_supported"]
    refused = ask_to_register(provider, id_token_signed_response_alg="none")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_client_metadata")


def test_oidcc_request_uri_unsigned_supported_correctly_or_rejected_as_unsupported(
    newcomer: Callable[..., RelyingParty], published: Published
) -> None:
    """Skipped by the suite where it is not advertised; and whoever sends it is told no."""
    party = newcomer(request_uris=[published.url])
    assert "none" not in party.told["request_object_signing_alg_values_supported"]
    published.body = unsigned({"client_id": party.name, "scope": "openid", "nonce": NONCE}).encode()
    assert party.answer(party.ask(request_uri=published.url))["error"] in REFUSALS
