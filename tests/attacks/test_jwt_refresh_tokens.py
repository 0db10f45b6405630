"""JWT refresh tokens under attack: altered, stolen, replayed, borrowed from others. What holds for every strategy.

What each strategy is for: tests/mission/test_c_strategies.py. The thief's gains, measured: docs/strategies.md.
"""

from typing import Any

import msgspec
import pytest

from detent.core.authorization import Authorization, PendingAuthorization
from detent.core.changes import EndFamilies, RaiseServerEpoch, ReplaceClient
from detent.core.errors import Conflict
from detent.core.exchange import Form
from detent.core.family import Origin
from detent.core.ids import ClientId, SessionKey, placement_of
from detent.registry.requests import TokenRequest
from detent.strategies.user_secret import KIND as USER_SECRET
from detent.tokens.refresh_jwt import RefreshClaims
from tests.attacks.outcomes import assert_refused
from tests.mission.test_a_tokens import claims_of
from tests.serving import API, REDIRECT_URI, VERIFIER
from tests.strategies import (
    EVERY_STRATEGY,
    REVOCABLE,
    SPENT_BY_USE,
    STRATEGIES,
    App,
    Tokens,
    header_of,
    record,
    segment,
)

pytestmark = pytest.mark.slow


@EVERY_STRATEGY
def test_rfc6749_6_a_refresh_never_widens_scope_and_narrowing_does_not_stick(app: App) -> None:
    tokens = app.sign_in(scope="read")
    assert_refused(app.refresh(tokens["refresh_token"], scope="read write"), "invalid_scope")
    tokens = app.sign_in(scope="read write")
    narrow = app.refreshed(tokens, scope="read")
    assert (narrow["scope"], claims_of(narrow["access_token"])["scope"]) == ("read", "read")
    assert app.refreshed(narrow)["scope"] == "read write"


@EVERY_STRATEGY
def test_logout_ends_the_access_tokens_and_where_it_can_the_refresh_token_by_any_of_its_predecessors(app: App) -> None:
    first = app.sign_in()
    second, other = app.refreshed(first), None if app.strategy == "unique_claim" else app.sign_in()
    app.revoke(first["refresh_token"])
    assert not app.is_active(first["access_token"])
    assert not app.is_active(second["access_token"])
    assert app.refuses(second) is (app.strategy in REVOCABLE)
    assert other is None or not app.refuses(other), "another sign-in is not concerned"


@EVERY_STRATEGY
@pytest.mark.parametrize("cut_off", ["the person's password", "the client", "everybody"])
def test_cut_offs_hold_at_the_next_refresh(alone: App, cut_off: str) -> None:
    tokens, house = alone.sign_in(), alone.detent.house
    if cut_off == "the person's password":
        alone.detent.thread.call(house.people.set_password(alone.detent.user("test").subject, "new"))
    elif cut_off == "the client":
        raised = alone.registered.epoch + 1
        version = alone.registered.version + 1
        alone.detent.apply(ReplaceClient(msgspec.structs.replace(alone.registered, epoch=raised, version=version)))
    else:
        alone.detent.apply(RaiseServerEpoch())
    unseen = alone.strategy == "short_lived" and cut_off == "the person's password"
    assert alone.refuses(tokens) is not unseen


@pytest.mark.parametrize("strategy", SPENT_BY_USE)
def test_parallel_redemptions_of_one_token_bring_one_pair(app: App) -> None:
    token = app.sign_in()["refresh_token"]
    answers = app.detent.at_once(8, lambda _: app.refresh(token))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7


@EVERY_STRATEGY
def test_a_replay_is_refused_where_use_spends_a_token_and_hurts_nobody(app: App) -> None:
    stolen = app.sign_in()
    owner = app.refreshed(stolen)
    assert app.refuses(stolen) is (app.strategy in SPENT_BY_USE)
    assert not app.refuses(owner), "the one who came first goes on, whoever it was"


@EVERY_STRATEGY
def test_another_clients_token_is_refused_and_revokes_nothing(app: App) -> None:
    tokens, stranger = app.sign_in(), App(app.detent, app.strategy)
    assert_refused(stranger.refresh(tokens["refresh_token"]), "invalid_grant")
    assert stranger.revoke(tokens["refresh_token"]).status_code == 200
    assert not app.refuses(tokens)


@EVERY_STRATEGY
def test_a_client_that_chose_another_strategy_since_begins_anew(app: App) -> None:
    tokens, before = app.sign_in(), app.registered
    other = STRATEGIES[STRATEGIES.index(app.strategy) - 1]
    for name in (other, "family"):
        version = app.registered.version + 1
        changed = msgspec.structs.replace(before, refresh_strategy=name, version=version)
        app.detent.apply(ReplaceClient(changed))
        assert app.refuses(tokens)
        assert not app.refuses(app.sign_in())


@EVERY_STRATEGY
def test_whatever_was_altered_is_refused(app: App) -> None:
    token = app.sign_in()["refresh_token"]
    header, payload, signature = token.split(".")
    ada = app.detent.user("ada").subject
    later = claims_of(token) | {"exp": claims_of(token)["exp"] + 1}
    other = STRATEGIES[STRATEGIES.index(app.strategy) - 1]
    altered = {
        "no signature": f"{header}.{payload}.",
        "signature": f"{header}.{payload}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}",
        "another person": f"{header}.{segment(claims_of(token) | {'sub': ada})}.{signature}",
        "another client": f"{header}.{segment(claims_of(token) | {'client_id': 'web'})}.{signature}",
        "a longer life": f"{header}.{segment(later)}.{signature}",
        "not claims": f"{header}.{segment([1])}.{signature}",
        "alg none": f"{segment(header_of(token) | {'alg': 'none'})}.{payload}.",
        "alg none, signed": f"{segment(header_of(token) | {'alg': 'none'})}.{payload}.{signature}",
        "an alg that is none": f"{segment(header_of(token) | {'alg': ['HS256']})}.{payload}.{signature}",
        "another alg": f"{segment(header_of(token) | {'alg': 'HS512'})}.{payload}.{signature}",
        "another strategy": f"{segment(header_of(token) | {'typ': f'{other}+rt+jwt'})}.{payload}.{signature}",
        "an unknown key": f"{segment(header_of(token) | {'kid': '9'})}.{payload}.{signature}",
        "a key id that is none": f"{segment(header_of(token) | {'kid': [1]})}.{payload}.{signature}",
        "a key of its own": f"{segment(header_of(token) | {'jwk': {'kty': 'oct', 'k': 'AA'}})}.{payload}.{signature}",
    }
    for what, forged in altered.items():
        assert app.refresh(forged).json()["error"] == "invalid_grant", what
        assert app.revoke(forged).status_code == 200, what
    assert not app.refuses({"refresh_token": token})


@EVERY_STRATEGY
def test_what_is_authentic_but_says_something_else_is_refused(app: App) -> None:
    """Signed by the server's own key and the person's own secret, so no refusal is for the signature."""
    tokens = app.sign_in()
    claims = msgspec.convert(claims_of(tokens["refresh_token"]), RefreshClaims)
    stored = record(app.detent, USER_SECRET, claims.sub)
    secret = stored.value if stored and app.strategy == "user_secret" else b""

    def signed(strategy: str = "", **change: Any) -> Tokens:
        new = msgspec.structs.replace(claims, **change)
        return {"refresh_token": app.detent.house.jwts.sign(strategy or app.strategy, new, secret)}

    for wrong in (
        {"client_id": "web"},
        {"authorization_id": "unknown"},
        {"iss": "https://evil.example/"},
        {"exp": app.detent.clock.now()},
        {"restore_epoch": 7},
    ):
        assert app.refuses(signed(**wrong)), wrong
    other = STRATEGIES[STRATEGIES.index(app.strategy) - 1]
    assert app.refuses(signed(strategy=other)), "a token of another strategy is not this client's"
    if app.strategy in REVOCABLE:
        assert app.refuses(signed(sub=app.detent.user("ada").subject)), "the row knows whose it is"
    assert not app.refuses(signed())


@EVERY_STRATEGY
def test_other_tokens_are_no_refresh_tokens_and_handles_are_no_jwts(app: App) -> None:
    tokens = app.sign_in(scope="openid read")
    assert_refused(app.refresh(tokens["access_token"]), "invalid_grant")
    assert_refused(app.refresh(tokens["id_token"]), "invalid_grant")
    family = app.detent.sign_in()["refresh_token"]
    assert_refused(app.refresh(family), "invalid_grant")
    assert app.detent.refresh("testclient", tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert app.detent.refresh("testclient", family).status_code == 200


@EVERY_STRATEGY
def test_rfc7662_2_2_a_refresh_token_is_active_while_it_would_be_redeemed(app: App) -> None:
    tokens = app.sign_in(scope="read")
    claims = claims_of(tokens["refresh_token"])
    told = app.post("/oauth/introspect", token=tokens["refresh_token"]).json()
    expected = {name: claims[name] for name in ("client_id", "sub", "iat", "exp")}
    assert told == {"active": True, "token_type": "refresh_token", "scope": "read", **expected}
    assert app.is_active(tokens["refresh_token"]), "asking spends nothing"

    stranger = App(app.detent, app.strategy)
    assert not stranger.is_active(tokens["refresh_token"])
    renewed = app.refreshed(tokens)
    assert app.is_active(tokens["refresh_token"]) is (app.strategy not in SPENT_BY_USE)
    app.revoke(renewed["refresh_token"])
    assert app.is_active(renewed["refresh_token"]) is (app.strategy not in REVOCABLE)


@EVERY_STRATEGY
def test_an_id_token_comes_with_every_refresh(app: App) -> None:
    tokens = app.sign_in(scope="openid profile read")
    assert claims_of(app.refreshed(tokens)["id_token"])["sub"] == app.detent.user("test").subject


@EVERY_STRATEGY
@pytest.mark.parametrize("end", ["its code comes a second time", "the person signs out of it"])
def test_the_end_of_a_sign_in_is_the_end_of_its_refresh_tokens_where_the_strategy_can(app: App, end: str) -> None:
    form = {"grant_type": "authorization_code", "redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER}
    code = app.detent.code(app.name)
    tokens = app.post("/oauth/token", code=code, **form).json()
    if end == "its code comes a second time":
        assert_refused(app.post("/oauth/token", code=code, **form), "invalid_grant")
    else:
        user = app.detent.user("test")
        app.detent.apply(EndFamilies(placement_of(user.subject), user.subject, "logout", client_id=ClientId(app.name)))
    assert not app.is_active(tokens["access_token"])
    assert app.refuses(tokens) is (app.strategy in REVOCABLE)


@EVERY_STRATEGY
def test_a_person_who_leaves_in_the_moment_of_redemption_begins_nothing(app: App) -> None:
    """As for families: the write itself finds the session gone, and the code was good a moment ago."""
    user, now = app.detent.user("test"), app.detent.clock.now()
    gone = SessionKey(placement_of(user.subject), bytes(16)).text
    issuing = app.detent.house.issuing
    authorization = Authorization(ClientId(app.name), user.subject, ("read",), (API,), now, now, session_id=gone)
    pending = PendingAuthorization(issuing.new_key(user.subject), authorization, now)
    request = TokenRequest(Form({}), app.registered, now, Origin(), "", "")
    around = app.detent.thread.call(issuing.surroundings(app.registered, user.epoch))
    with pytest.raises(Conflict):
        app.detent.thread.call(issuing.begin(request, pending, user, around))
    assert app.detent.thread.call(app.detent.store.family(pending.key)) is None
