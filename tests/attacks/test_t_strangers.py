"""Whoever is not the client, or has no token at all (rows T11, T12, T20, T21), learns nothing and harms nobody."""

import base64
import logging
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from detent.tokens.handle import REFRESH_PREFIX
from tests.attacks.outcomes import assert_refused, assert_unharmed, chained, noticed, ongoing, signed_in
from tests.serving import SECRET, Detent

detent = ongoing

DAY = 86400
OWNERS = ("testclient", "app")
EVERYBODY = ("testclient", "app", "other", "web", "cli", "spa", "machine")


@pytest.mark.quick
@pytest.mark.parametrize("presented", ["live", "consumed"])
@pytest.mark.parametrize(
    ("owner", "thief"), [(owner, thief) for owner in OWNERS for thief in EVERYBODY if thief != owner]
)
def test_attack_t11_rfc6749_6_another_client_gets_nothing_and_harms_nobody(
    detent: Detent, owner: str, thief: str, presented: str
) -> None:
    chain = chained(detent, owner, 3)
    token = chain[0 if presented == "consumed" else -1]["refresh_token"]

    assert_refused(detent.refresh(thief, token))
    assert detent.introspect(token, "other") == {"active": False}
    assert detent.revoke(token, thief).status_code == 200

    assert detent.sink.events == []
    assert_unharmed(detent, owner, chain)


@pytest.mark.parametrize(
    "credentials",
    [
        {"data": {"client_id": "testclient"}},
        {"data": {"client_id": "testclient", "client_secret": ""}},
        {"data": {"client_id": "testclient", "client_secret": "wrong"}},
        {"data": {"client_id": "testclient", "client_secret": f"{SECRET} "}},
        {"auth": ("testclient", "")},
        {"auth": ("testclient", "wrong")},
        {"auth": ("testclient", SECRET.upper())},
        {"headers": {"Authorization": "Bearer secret"}, "data": {"client_id": "testclient"}},
    ],
)
@pytest.mark.parametrize("presented", ["live", "consumed"])
def test_attack_t12_rfc6749_6_a_confidential_client_proves_itself_before_anything_happens(
    detent: Detent, credentials: dict[str, Any], presented: str
) -> None:
    chain = chained(detent, "testclient", 3)
    token = chain[0 if presented == "consumed" else -1]["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": token, **credentials.get("data", {})}

    answer = detent.http.post("/oauth/token", **(credentials | {"data": form}))

    assert_refused(answer, "invalid_client", 401)
    assert answer.headers["www-authenticate"].startswith("Basic "), "RFC 6749 §5.2"
    assert detent.sink.events == []
    assert_unharmed(detent, "testclient", chain)


@pytest.mark.quick
def test_attack_t12_rfc6749_2_3_no_client_at_all_or_two_of_them(detent: Detent) -> None:
    chain = chained(detent, "testclient", 2)
    form = {"grant_type": "refresh_token", "refresh_token": chain[0]["refresh_token"]}
    assert_refused(detent.http.post("/oauth/token", data=form), "invalid_client", 401)
    two = detent.http.post("/oauth/token", data=form | {"client_id": "testclient"}, auth=("other", SECRET))
    assert_refused(two, "invalid_request")
    assert_unharmed(detent, "testclient", chain)


def malformed(token: str) -> Iterator[str]:
    """Everything near a refresh token: each bit flipped, each length, other spellings of the same bytes."""
    raw = base64.urlsafe_b64decode(token.removeprefix(REFRESH_PREFIX))
    for bit in range(len(raw) * 8):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        yield REFRESH_PREFIX + base64.urlsafe_b64encode(flipped).decode()
    yield from (token[:length] for length in range(1, len(token)))
    yield from (token[at:] for at in range(1, len(token), 7))
    yield from (f"{token}A", f"{token}AAAA", f"{token}=", f"{token}====", f"{token} ", f" {token}", f"{token}\n")
    yield from (token.upper(), token.lower(), token.swapcase(), token[::-1], f"{token}{token}", f"{token}.{token}")
    yield from (token.replace("_", "-", 1), f"DTRT_{token[5:]}", token[5:], f"dtat_{token[5:]}", f"dtac_{token[5:]}")
    yield from (
        REFRESH_PREFIX,
        "é",
        "🔑" * 30,
        "dtrt_" + "é" * 84,
        "a" * 84,
        "dtrt_" + "A" * 84,
        "dtrt_" + "A" * 60_000,
    )
    yield from ("' OR 1=1 --", "../../etc/passwd", "null", "undefined", "{}", "%00", "\r\nX: y", "\u202e" + token)


def test_attack_t20_rfc6749_5_2_garbage_is_invalid_grant_at_the_price_of_no_statement(
    detent: Detent, caplog: pytest.LogCaptureFixture
) -> None:
    """Constant work: one MAC each, compared in constant time, before the client is looked up; and no statement."""
    chain = chained(detent, "testclient", 2)
    token = chain[-1]["refresh_token"]
    for logger in ("detent", "uvicorn", "asyncio"):
        caplog.set_level(logging.DEBUG, logger)
    before = detent.statements()

    tried = list(malformed(token))
    for each in tried:
        assert_refused(detent.refresh("testclient", each))

    assert detent.statements() == before
    assert len(tried) > 600
    assert caplog.text.count("invalid_grant") == len(tried), "each is told to the operator"
    assert not any(part in caplog.text for part in (token[5:40], token[40:80])), "and none with its value"
    assert_unharmed(detent, "testclient", chain)


@pytest.mark.parametrize(
    ("token", "status"), [("", 400), ("\0", 400), ("TOKEN\0", 400), ("\0TOKEN", 400), ("A" * 1_000_000, 413)]
)
def test_attack_t20_rfc6749_3_1_absent_nul_and_a_megabyte_are_invalid_requests(
    detent: Detent, caplog: pytest.LogCaptureFixture, token: str, status: int
) -> None:
    chain = chained(detent, "testclient", 2)
    genuine = chain[-1]["refresh_token"]
    caplog.set_level(logging.DEBUG, "detent")
    before = detent.statements()

    assert_refused(detent.refresh("testclient", token.replace("TOKEN", genuine)), "invalid_request", status)

    assert detent.statements() == before
    assert genuine not in caplog.text
    assert "AAAA" not in caplog.text
    assert_unharmed(detent, "testclient", chain)


@pytest.mark.parametrize(
    "value", ["7", "1e999", "true", "[7]", '[["TOKEN"]]', '{"a": "TOKEN"}', r'"\ud800"', r'"TOKEN\udfff"']
)
@pytest.mark.parametrize("name", ["refresh_token", "client_id", "client_secret", "scope", "retry_key", "resource"])
def test_attack_t20_rfc6749_5_2_no_json_value_is_more_than_a_bad_request(detent: Detent, name: str, value: str) -> None:
    chain = chained(detent, "testclient", 1)
    token = chain[0]["refresh_token"]
    members = {"client_id": '"testclient"', "client_secret": f'"{SECRET}"', "grant_type": '"refresh_token"'}
    members |= {"refresh_token": f'"{token}"', name: value.replace("TOKEN", token)}
    body = "{" + ", ".join(f'"{key}": {text}' for key, text in members.items()) + "}"

    answer = detent.http.post("/oauth/token", content=body, headers={"Content-Type": "application/json"})

    assert_refused(answer, "invalid_request")
    assert_unharmed(detent, "testclient", chain)


@pytest.fixture(params=OWNERS)
def owner(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def tokens(detent: Detent, owner: str) -> dict[str, str]:
    """One refresh token of this owner in every state that a stranger might ask about."""
    swept = signed_in(detent, owner)
    detent.clock.advance(181 * DAY)
    while detent.thread.call(detent.store.sweep(detent.clock.now(), retention=0)):
        pass
    expired = signed_in(detent, owner)
    detent.clock.advance(31 * DAY)
    revoked, killed, consumed = signed_in(detent, owner), chained(detent, owner, 3), chained(detent, owner, 3)
    assert detent.revoke(revoked["refresh_token"], owner).status_code == 200
    assert_refused(detent.refresh(owner, killed[0]["refresh_token"]))
    states = {"swept": swept, "expired": expired, "revoked": revoked, "killed": killed[-1]}
    states |= {"consumed": consumed[0], "live": consumed[-1]}
    known = {state: str(answer["refresh_token"]) for state, answer in states.items()}
    return known | {"unknown": f"{known['live'][:-2]}AA"}


def told(answer: httpx.Response) -> tuple[int, str, frozenset[str]]:
    """All that an answer says, apart from its support id."""
    support_id = answer.json()["support_id"] if answer.content.startswith(b'{"error') else "?"
    return answer.status_code, answer.text.replace(support_id, "ID"), frozenset(answer.headers)


def all_told(tokens: dict[str, str], ask: Callable[[str], httpx.Response]) -> set[tuple[int, str, frozenset[str]]]:
    return {told(ask(token)) for token in tokens.values()}


@pytest.mark.quick
def test_attack_t21_rfc7662_4_another_client_cannot_tell_what_became_of_a_token(
    detent: Detent, owner: str, tokens: dict[str, str]
) -> None:
    """The same time too: every one of them costs the same MAC, and no statement."""
    detent.introspect("anything", "other")  # from now on the server remembers who `other` is
    before, events = detent.statements(), len(detent.sink.events)

    refreshed = all_told(tokens, lambda token: detent.refresh("other", token))
    introspected = all_told(tokens, lambda token: detent.post("/oauth/introspect", "other", token=token))
    revoked = all_told(tokens, lambda token: detent.revoke(token, "other"))

    assert detent.statements() == before
    assert [(status, text.partition(",")[0]) for status, text, _ in refreshed] == [(400, '{"error":"invalid_grant"')]
    assert [(status, text) for status, text, _ in introspected] == [(200, '{"active":false}')]
    assert [(status, text) for status, text, _ in revoked] == [(200, "")]
    assert len(detent.sink.events) == events
    assert detent.refresh(owner, tokens["live"]).status_code == 200


@pytest.mark.quick
def test_attack_t21_rfc6749_5_2_the_client_itself_is_told_one_thing_about_all_that_is_dead(
    detent: Detent, owner: str, tokens: dict[str, str]
) -> None:
    """Anybody can be a public client, so this is what a stranger sees there."""
    dead = {state: token for state, token in tokens.items() if state != "live"}
    [(status, text, _)] = all_told(dead, lambda token: detent.refresh(owner, token))
    assert (status, text.partition(",")[0]) == (400, '{"error":"invalid_grant"')
    assert len(noticed(detent, "reuse_detected")) == 2, "the consumed one was recognised all the same"


@pytest.mark.quick
@pytest.mark.parametrize("owner", ["testclient"], indirect=True)
@pytest.mark.parametrize("auth", [None, ("testclient", "wrong")])
def test_attack_t21_rfc7662_4_without_the_clients_secret_its_tokens_look_alike(
    detent: Detent, tokens: dict[str, str], auth: tuple[str, str] | None
) -> None:
    """What this server never made is refused before it asks for the secret (T20), and so looks different."""
    ours = {state: token for state, token in tokens.items() if state != "unknown"}
    before = detent.statements()

    def ask(token: str) -> httpx.Response:
        form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": "testclient"}
        return detent.http.post("/oauth/token", data=form, auth=auth or httpx.USE_CLIENT_DEFAULT)

    [(status, text, _)] = all_told(ours, ask)

    assert (status, text.partition(",")[0]) == (401, '{"error":"invalid_client"')
    assert detent.statements() == before
    assert detent.refresh("testclient", tokens["live"]).status_code == 200
