"""Mission C, JWT refresh tokens: the five strategies that a client may choose instead of a family. Over HTTP.

What each lets pass and what ends a token; a thief, a stranger and a forger: tests/attacks/test_jwt_refresh_tokens.py.
"""

from typing import Any

import pytest

from detent.core.changes import ConsumeRecord, InsertRecord, Record
from detent.core.client import Client, checked_client
from detent.core.errors import InvalidClientMetadata
from detent.core.policy import DAY, HOUR, MINUTE, ClientKind, Overrides
from detent.strategies.allowlist import KIND as ALLOWED
from detent.strategies.denylist import KIND as DENIED
from detent.strategies.user_secret import KIND as USER_SECRET
from detent.testing.factories import a_client
from tests.attacks.outcomes import assert_refused
from tests.mission.test_a_tokens import claims_of
from tests.serving import REDIRECT_URI, VERIFIER
from tests.strategies import EVERY_STRATEGY, GRANTS, STRATEGIES, App, header_of, record, row_is_live

pytestmark = pytest.mark.quick

# C1, C2


@EVERY_STRATEGY
def test_c1_a_sign_in_yields_two_jwts(app: App) -> None:
    by_code = app.post(
        "/oauth/token",
        grant_type="authorization_code",
        code=app.detent.code(app.name),
        redirect_uri=REDIRECT_URI,
        code_verifier=VERIFIER,
    ).json()
    for tokens in (by_code, app.sign_in()):
        assert header_of(tokens["access_token"])["typ"] == "at+jwt"
        assert header_of(tokens["refresh_token"]) == {"alg": "HS256", "typ": f"{app.strategy}+rt+jwt", "kid": "1"}
        access, refresh = claims_of(tokens["access_token"]), claims_of(tokens["refresh_token"])
        assert refresh["sub"] == access["sub"] == app.detent.user("test").subject
        assert refresh["client_id"] == app.name
        assert app.detent.secret(tokens["access_token"]).status_code == 200
        assert app.detent.secret(tokens["refresh_token"]).status_code == 401, "it opens nothing at an API"


@EVERY_STRATEGY
def test_c2_a_refresh_token_outlives_the_access_token_by_its_preset(app: App) -> None:
    tokens, short = app.sign_in(), app.strategy == "short_lived"
    access, idle, absolute = (10 * MINUTE, HOUR, HOUR) if short else (HOUR, DAY, 7 * DAY)
    begun, claims = app.detent.clock.now(), claims_of(tokens["refresh_token"])
    assert (tokens["expires_in"], claims["exp"] - claims["iat"]) == (access, idle)

    while (now := app.detent.clock.advance(idle // 2)) < begun + absolute:
        tokens = app.refreshed(tokens)
        assert claims_of(tokens["refresh_token"])["exp"] == min(now + idle, begun + absolute)
        assert claims_of(tokens["access_token"])["exp"] == min(now + access, begun + absolute)
    assert app.refuses(tokens)


@EVERY_STRATEGY
def test_a_refresh_token_that_is_not_used_in_time_expires(app: App) -> None:
    tokens = app.sign_in()
    app.detent.clock.advance(claims_of(tokens["refresh_token"])["exp"] - app.detent.clock.now())
    assert app.refuses(tokens)


def registered(kind: ClientKind = "web", strategy: str = "allowlist", **fields: Any) -> Client:
    return a_client(kind=kind, refresh_strategy=strategy, **fields)


@EVERY_STRATEGY
def test_only_a_confidential_web_app_may_choose_a_strategy(strategy: str) -> None:
    known = frozenset(STRATEGIES)
    checked_client(registered(strategy=strategy), frozenset(GRANTS), known)
    for kind in ("browser", "native", "cli"):
        with pytest.raises(InvalidClientMetadata, match=f"{strategy} is not for a {kind} client"):
            checked_client(registered(kind, strategy), frozenset(GRANTS), known)
        checked_client(registered(kind, "family"), frozenset(GRANTS), known)
    with pytest.raises(InvalidClientMetadata, match="machine"):
        checked_client(registered("machine", strategy), frozenset({"client_credentials"}), known)


def test_nobody_has_a_strategy_who_did_not_choose_one() -> None:
    assert a_client(kind="web").refresh_strategy == "family"
    with pytest.raises(InvalidClientMetadata, match="one of: family, allowlist"):
        checked_client(registered(strategy="hope"), frozenset(GRANTS), frozenset(STRATEGIES))


@pytest.mark.parametrize(
    ("strategy", "overrides"),
    [
        ("allowlist", Overrides(rotating=True)),
        ("denylist", Overrides(overlap=60)),
        ("unique_claim", Overrides(on_reuse="suspect")),
        ("user_secret", Overrides(idle=HOUR + 1)),
        ("user_secret", Overrides(access_life=DAY)),
        ("short_lived", Overrides(access_life=10 * MINUTE + 1)),
        ("short_lived", Overrides(absolute=HOUR + 1)),
    ],
)
def test_a_knob_that_does_not_fit_the_strategy_is_refused_at_registration(strategy: str, overrides: Overrides) -> None:
    with pytest.raises(InvalidClientMetadata):
        checked_client(registered(strategy=strategy, overrides=overrides), frozenset(GRANTS), frozenset(STRATEGIES))


# C6, C7, C8


@pytest.mark.parametrize("strategy", ["allowlist"])
def test_c6_a_token_is_good_once_and_while_it_is_in_the_list(app: App) -> None:
    first = app.sign_in()
    second = app.refreshed(first)
    assert record(app.detent, ALLOWED, claims_of(first["refresh_token"])["jti"]) is None
    assert app.refuses(first), "it was taken out when it was redeemed"

    listed = record(app.detent, ALLOWED, claims_of(second["refresh_token"])["jti"])
    assert listed
    assert listed.expires_at == claims_of(second["refresh_token"])["exp"]
    app.detent.apply(ConsumeRecord(listed.kind, listed.key, listed.version, app.detent.clock.now()))
    assert row_is_live(app.detent, second)
    assert app.refuses(second), "absent is refused, whatever else is well"


@pytest.mark.parametrize("strategy", ["denylist"])
def test_c7_a_token_is_good_unless_it_is_in_the_list_and_stays_there_until_it_expires(app: App) -> None:
    first = app.sign_in()
    second = app.refreshed(first)
    assert app.refuses(first), "it was put in when it was redeemed"
    third = app.refreshed(second)
    claims = claims_of(third["refresh_token"])
    app.detent.apply(InsertRecord(Record(DENIED, claims["jti"], b"", claims["exp"])))
    assert row_is_live(app.detent, third)
    assert app.refuses(third), "present is refused, whatever else is well"

    other = app.sign_in()
    other_jti = claims_of(other["refresh_token"])["jti"]
    assert record(app.detent, DENIED, other_jti) is None
    assert app.revoke(other["refresh_token"]).status_code == 200
    app.detent.thread.call(app.detent.store.sweep(app.detent.clock.advance(DAY - 1), retention=0))
    assert record(app.detent, DENIED, other_jti)
    app.detent.thread.call(app.detent.store.sweep(app.detent.clock.advance(1), retention=0))
    assert record(app.detent, DENIED, other_jti) is None
    assert app.refuses(other), "it has expired by now"


@pytest.mark.parametrize("strategy", ["unique_claim"])
def test_c8_only_the_token_with_the_saved_value_gives_a_new_pair(app: App) -> None:
    phone = app.sign_in()
    renewed = app.refreshed(phone)
    assert {phone["refresh_token"], phone["access_token"]}.isdisjoint(renewed.values()), "a new pair"
    assert app.refuses(phone)

    laptop = app.sign_in()
    both = claims_of(renewed["refresh_token"]), claims_of(laptop["refresh_token"])
    assert both[0]["iat"] == both[1]["iat"], "in the same second"
    assert both[0]["jti"] != both[1]["jti"]
    assert app.refuses(renewed), "a second device signs the first one out"
    ada = app.sign_in("ada")
    elsewhere = App(app.detent, "unique_claim").sign_in()
    assert not app.refuses(laptop), "neither another person nor another app does"
    assert not app.refuses(ada)
    assert elsewhere["refresh_token"]


@pytest.mark.parametrize("strategy", ["unique_claim"])
def test_c8_sign_ins_of_one_person_at_one_moment_all_succeed_and_one_of_them_lasts(app: App) -> None:
    codes = [app.detent.code(app.name) for _ in range(4)]
    form = {"redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER, "grant_type": "authorization_code"}
    answers = app.detent.at_once(4, lambda index: app.post("/oauth/token", code=codes[index], **form))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert sorted(app.refuses(answer.json()) for answer in answers) == [False, True, True, True]


# C9


@pytest.mark.counted
@pytest.mark.parametrize("strategy", ["short_lived"])
def test_c9_a_short_lived_token_is_checked_without_the_store_and_cannot_be_revoked(alone: App) -> None:
    tokens = alone.sign_in()
    before = alone.detent.statements()
    tokens = alone.refreshed(tokens)
    assert alone.detent.statements() == before, "neither read nor written"

    alone.detent.clock.advance(20 * MINUTE)
    tokens = alone.refreshed(tokens)
    answer = alone.revoke(tokens["refresh_token"])
    assert_refused(answer, "unsupported_token_type")
    assert "ends by itself in 2400 seconds" in answer.json()["error_description"]
    assert not alone.is_active(tokens["access_token"]), "what can be ended is ended"
    assert not alone.refuses(tokens), "the limit of it"
    alone.detent.thread.call(alone.detent.house.people.set_password(alone.detent.user("test").subject, "new"))
    assert not alone.refuses(tokens), "even now"

    alone.detent.clock.advance(40 * MINUTE)
    assert alone.refuses(tokens), "an hour after the sign-in it is over"


@pytest.mark.parametrize("strategy", ["short_lived"])
def test_c9_a_stranger_is_not_told_what_cannot_be_revoked(app: App) -> None:
    tokens = app.sign_in()
    assert App(app.detent, "short_lived").revoke(tokens["refresh_token"]).status_code == 200
    assert app.is_active(tokens["access_token"])


# C10


@pytest.mark.parametrize("strategy", ["user_secret"])
def test_c10_a_password_reset_revokes_every_token_of_that_person_and_of_nobody_else(alone: App) -> None:
    phone, laptop, ada = alone.sign_in(), alone.sign_in(), alone.sign_in("ada")
    subject = alone.detent.user("test").subject
    before = record(alone.detent, USER_SECRET, subject)
    assert alone.refreshed(phone)
    assert not alone.refuses(phone), "nothing is spent by use"

    alone.detent.thread.call(alone.detent.house.people.set_password(subject, "test"))  # the same password as before
    assert alone.refuses(phone)
    assert alone.refuses(laptop)
    assert not alone.refuses(ada)

    again = alone.sign_in()
    after = record(alone.detent, USER_SECRET, subject)
    assert before
    assert after
    assert before.value != after.value, "a new secret was drawn"
    assert not alone.refuses(again)
    assert alone.refuses(phone)


@pytest.mark.parametrize("strategy", ["user_secret"])
def test_c10_no_password_enters_a_key(alone: App) -> None:
    """Two people with one password have two secrets, and what is signed by the one proves nothing for the other."""
    alone.detent.thread.call(alone.detent.house.people.set_password(alone.detent.user("ada").subject, "test"))
    jwts, secrets = alone.detent.house.jwts, {}
    tokens = alone.sign_in()["refresh_token"]
    answer = alone.post("/oauth/token", grant_type="password", username="ada", password="test")
    assert answer.status_code == 200
    now = alone.detent.clock.now()
    for name in ("test", "ada"):
        stored = record(alone.detent, USER_SECRET, alone.detent.user(name).subject)
        assert stored
        secrets[name] = stored.value
    assert secrets["test"] != secrets["ada"]
    assert jwts.read("user_secret", tokens, now, secrets["test"])
    assert jwts.read("user_secret", tokens, now, secrets["ada"]) is None
    assert jwts.read("user_secret", tokens, now) is None, "the server's key alone proves nothing"


@pytest.mark.parametrize("strategy", ["user_secret"])
def test_c10_first_sign_ins_of_one_person_at_one_moment_share_one_secret(alone: App) -> None:
    codes = [alone.detent.code(alone.name) for _ in range(4)]
    form = {"redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER, "grant_type": "authorization_code"}
    answers = alone.detent.at_once(4, lambda index: alone.post("/oauth/token", code=codes[index], **form))
    assert [alone.refuses(answer.json()) for answer in answers] == [False] * 4
