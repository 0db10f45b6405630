"""Mission C, JWT refresh tokens: the five strategies that a client may choose instead of a family. Over HTTP.

What is compared in docs/strategies.md is proved here: what each lets pass, what ends a token, and what a thief,
a stranger and a forger get.
"""

import base64
import json
from itertools import count
from typing import Any

import httpx
import msgspec
import pytest

from detent.core.changes import ConsumeRecord, InsertClient, InsertRecord, RaiseServerEpoch, Record, ReplaceClient
from detent.core.client import Client, checked_client
from detent.core.errors import InvalidClientMetadata
from detent.core.ids import FamilyKey
from detent.core.policy import DAY, HOUR, MINUTE, ClientKind, Overrides
from detent.strategies.allowlist import KIND as ALLOWED
from detent.strategies.denylist import KIND as DENIED
from detent.strategies.user_secret import KIND as USER_SECRET
from detent.testing.factories import a_client
from detent.tokens.refresh_jwt import RefreshClaims
from tests.attacks.outcomes import assert_refused
from tests.mission.test_a_tokens import claims_of
from tests.serving import REDIRECT_URI, SECRET, VERIFIER, Detent, client

STRATEGIES = ("allowlist", "denylist", "unique_claim", "short_lived", "user_secret")
REVOCABLE = tuple(name for name in STRATEGIES if name != "short_lived")
SPENT_BY_USE = ("allowlist", "denylist", "unique_claim")
GRANTS = ("password", "authorization_code", "refresh_token")
EVERY_STRATEGY = pytest.mark.parametrize("strategy", STRATEGIES)
Tokens = dict[str, Any]
_numbers = count(1)


class App:
    """A confidential client that chose this strategy."""

    def __init__(self, detent: Detent, strategy: str) -> None:
        self.detent = detent
        self.strategy = strategy
        self.name = f"by-{strategy}-{next(_numbers)}"
        keys: Any = detent.house.outside.keys
        registered = client(self.name, "web", keys, grant_types=GRANTS, refresh_strategy=strategy)
        detent.apply(InsertClient(checked_client(registered, frozenset(GRANTS), frozenset(STRATEGIES))))

    def post(self, path: str, **form: str) -> httpx.Response:
        return self.detent.http.post(path, data=form, auth=(self.name, SECRET))

    def sign_in(self, person: str = "test", **form: str) -> Tokens:
        password = self.detent.password_of(person)
        answer = self.post("/oauth/token", grant_type="password", username=person, password=password, **form)
        assert answer.status_code == 200, answer.text
        tokens: Tokens = answer.json()
        return tokens

    def refresh(self, refresh_token: str, **form: str) -> httpx.Response:
        return self.post("/oauth/token", grant_type="refresh_token", refresh_token=refresh_token, **form)

    def refreshed(self, tokens: Tokens, **form: str) -> Tokens:
        answer = self.refresh(tokens["refresh_token"], **form)
        assert answer.status_code == 200, answer.text
        renewed: Tokens = answer.json()
        return renewed

    def revoke(self, token: str) -> httpx.Response:
        return self.post("/oauth/revoke", token=token)

    def is_active(self, access_token: str) -> bool:
        active: bool = self.post("/oauth/introspect", token=access_token).json()["active"]
        return active

    def refuses(self, tokens: Tokens) -> bool:
        answer = self.refresh(tokens["refresh_token"])
        if answer.status_code == 200:
            return False
        assert_refused(answer, "invalid_grant")
        return True

    @property
    def registered(self) -> Client:
        found: Client = self.detent.thread.call(self.detent.store.client(self.name))
        return found


@pytest.fixture
def app(standing: Detent, strategy: str) -> App:
    """In a house that all these tests share; its clock only goes on."""
    return App(standing, strategy)


@pytest.fixture
def alone(detent: Detent, strategy: str) -> App:
    """In a house of its own, where a test may change people and cut everybody off."""
    return App(detent, strategy)


def header_of(token: str) -> dict[str, Any]:
    header: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
    return header


def segment(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def record(detent: Detent, kind: str, key: str) -> Record | None:
    found: Record | None = detent.thread.call(detent.store.record(kind, key))
    return found


def row_is_live(detent: Detent, tokens: Tokens) -> bool:
    key = FamilyKey.parse(claims_of(tokens["access_token"])["authorization_id"])
    status: str = detent.thread.call(detent.store.family(key)).family.status
    return status == "live"


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
        ("user_secret", Overrides(idle=HOUR)),
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


# What holds for all of them


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
    assert claims_of(app.refreshed(tokens)["id_token"])["name"] == "Test Person"
