"""What the refresh grant tells, writes and waits for beside its answer: the log, the audit log, the session, the limit.

What a token means is asked in tests/core, what an attacker gets in tests/attacks.
"""

import logging
import re
from hashlib import blake2b
from typing import Any

import httpx
import msgspec
import pytest

from detent.core.changes import Changes, ReplaceFamily, SlideSession
from detent.core.errors import Conflict, StoreUnavailable
from detent.core.ids import FamilyKey
from detent.grants.repeats import PER_MINUTE
from detent.tokens.handle import MAX_GENERATION, REFRESH_PREFIX
from tests.attacks.outcomes import assert_refused, stranded
from tests.browsing import Browser
from tests.proving import Holder
from tests.serving import API, REPORTS, Detent
from tests.strategies import App

KEY = "retry-key-of-22-chars-"


def written(detent: Detent) -> list[Changes]:
    """All that the store is told to write from now on."""
    honest, seen = detent.store.apply, []

    async def apply(changes: Changes) -> None:
        seen.append(changes)
        await honest(changes)

    detent.store.apply = apply
    return seen


def row_becomes(detent: Detent, refresh_token: str, client: str, **fields: Any) -> None:
    family = detent.family(refresh_token, client)
    detent.apply(ReplaceFamily(msgspec.structs.replace(family, version=family.version + 1, **fields)))


@pytest.mark.quick
def test_rfc6749_5_2_a_refresh_without_a_refresh_token_is_told_what_is_missing(detent: Detent) -> None:
    answer = detent.token(grant_type="refresh_token")
    assert_refused(answer, "invalid_request")
    assert answer.json()["error_description"].startswith("The parameter refresh_token is missing.")


def refusals(detent: Detent) -> dict[str, httpx.Response]:
    """By what the log says of it; the client is told nothing of this."""
    strict = [detent.sign_in()["refresh_token"] for _ in range(4)]
    detent.refreshed("testclient", strict[0])
    detent.revoke(strict[1])
    reused, revoked, last, known = (detent.family(token) for token in strict)
    row_becomes(detent, strict[2], "testclient", generation=MAX_GENERATION)

    def forged(client: str = "testclient", **fields: Any) -> httpx.Response:
        return detent.refresh(client, detent.house.handles.refresh_token(msgspec.structs.replace(known, **fields)))

    elsewhere = msgspec.structs.replace(known.authorization, client_id="other")
    bound = Holder(detent).sign_in()["refresh_token"]
    unknown = msgspec.structs.replace(known.key, id=bytes(16))
    return {
        "not a refresh token of this server for this client": detent.refresh("testclient", "dtrt_wrong"),
        f"the family was deleted, family {unknown.text}": forged(key=unknown),
        f"the inner tag is wrong, family {known.key.text}": forged(seed=bytes(32)),
        f"issued to another client, family {known.key.text}": forged("other", authorization=elsewhere),
        f"bound to another key, family {detent.family(bound, 'app').key.text}": detent.refresh("app", bound),
        f"reuse, family {reused.key.text}": detent.refresh("testclient", strict[0]),
        f"revoked, family {revoked.key.text}": detent.refresh("testclient", strict[1]),
        f"the family has used up its generations, family {last.key.text}": detent.refresh(
            "testclient", detent.house.handles.refresh_token(msgspec.structs.replace(last, generation=MAX_GENERATION))
        ),
    }


def test_the_log_says_why_a_refresh_was_refused_and_of_which_family(
    detent: Detent, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for reason, answer in refusals(detent).items():
        assert_refused(answer)
        lines = [record.getMessage() for record in caplog.records if answer.json()["support_id"] in record.getMessage()]
        assert any(reason in line for line in lines), (reason, lines)


def test_a_refresh_that_loses_every_race_is_told_to_try_again_in_a_second(detent: Detent) -> None:
    token = detent.sign_in()["refresh_token"]
    honest, tries = detent.store.apply, []

    async def apply(changes: Changes) -> None:
        tries.append(changes)
        raise Conflict

    detent.store.apply = apply
    answer = detent.refresh("testclient", token)
    detent.store.apply = honest
    assert_refused(answer, "temporarily_unavailable", 503)
    assert answer.headers["retry-after"] == "1"
    assert len(tries) == 4
    detent.refreshed("testclient", token)


def test_a_refresh_that_lost_a_race_reads_again_and_goes_on(detent: Detent) -> None:
    token = detent.sign_in()["refresh_token"]
    honest, tries = detent.store.apply, []

    async def apply(changes: Changes) -> None:
        tries.append(changes)
        if len(tries) < 4:
            raise Conflict
        await honest(changes)

    detent.store.apply = apply
    detent.refreshed("testclient", token)
    assert len(tries) == 4


def test_a_parent_is_repeated_so_often_in_a_minute_and_then_after_a_wait(detent: Detent) -> None:
    """Each generation for itself; the first repeat writes, and is not counted."""
    first = detent.sign_in()["refresh_token"]
    detent.refreshed("testclient", first, retry_key=KEY)
    answers = [detent.refresh("testclient", first, retry_key=KEY) for _ in range(PER_MINUTE + 2)]
    assert [answer.status_code for answer in answers] == [200] * (PER_MINUTE + 1) + [429]
    assert_refused(answers[-1], "slow_down", 429)
    assert answers[-1].headers["retry-after"] == "60"
    detent.clock.advance(60)
    successor = detent.refreshed("testclient", first, retry_key=KEY)["refresh_token"]
    assert successor == answers[0].json()["refresh_token"]
    detent.refreshed("testclient", successor)


def test_a_parent_that_gets_a_new_successor_each_time_is_limited_alike(detent: Detent) -> None:
    """After four tolerated generations in a row, where the last one got an access token only."""
    token = stranded(detent, "app")
    answers = [detent.refresh("app", token) for _ in range(PER_MINUTE + 1)]
    assert len({answer.json().get("refresh_token") for answer in answers}) == PER_MINUTE + 1
    assert [answer.status_code for answer in answers] == [200] * PER_MINUTE + [429]
    assert_refused(answers[-1], "slow_down", 429)


@pytest.mark.quick
def test_a_retry_key_is_at_rest_as_its_digest_and_a_short_one_counts_as_none(detent: Detent) -> None:
    token = detent.sign_in()["refresh_token"]
    for key, stored in (
        (KEY, blake2b(KEY.encode(), digest_size=16, person=b"retry key").digest()),
        (KEY[:-1], None),
        ("", None),
    ):
        token = detent.refreshed("testclient", token, retry_key=key)["refresh_token"]
        assert detent.family(token).retry_key == stored


ASKED: dict[str, tuple[dict[str, Any], str | None]] = {
    "nothing": ({}, None),
    "all": ({"scope": "write read", "resource": [API, REPORTS]}, None),
    "less scope": ({"scope": "read"}, "read"),
    "fewer APIs": ({"resource": API}, f"at {API}"),
    "both": ({"scope": "read", "resource": REPORTS}, f"read at {REPORTS}"),
    "one of two, in any order": ({"scope": "write read", "resource": REPORTS}, f"at {REPORTS}"),
}


@pytest.mark.parametrize("asked", ASKED)
def test_rfc6749_6_the_family_remembers_what_less_was_asked_for_and_the_audit_log_does_not(
    detent: Detent, asked: str
) -> None:
    form, told = ASKED[asked]
    tokens = detent.sign_in("web", resource=(API, REPORTS))
    seen = written(detent)
    detent.clock.advance(1)
    tokens = detent.refreshed("web", tokens["refresh_token"], **form)
    narrowed = [event for event in detent.family(tokens["refresh_token"], "web").history if event.name == "narrowed"]
    assert [event.reason for event in narrowed] == ([told] if told else [])
    assert [changes.events for changes in seen] == [()]
    assert not [event for event in detent.sink.events if event.name == "narrowed"]


@pytest.mark.quick
def test_a_reuse_is_told_once_to_the_audit_log_and_the_sink_with_its_support_id(detent: Detent) -> None:
    first = detent.sign_in()["refresh_token"]
    detent.refreshed("testclient", first)
    seen = written(detent)
    detent.sink.events.clear()
    answer = detent.refresh("testclient", first)
    (told,) = detent.sink.events
    assert (told.name, told.support_id) == ("reuse_detected", answer.json()["support_id"])
    assert [changes.events for changes in seen] == [(told,)]
    detent.refresh("testclient", first)
    assert detent.sink.events == [told]


def slides(changes: Changes) -> list[SlideSession]:
    return [part for part in changes.parts if isinstance(part, SlideSession)]


def test_a_refresh_slides_the_session_that_its_family_ends_with_and_no_other(detent: Detent) -> None:
    with Browser(detent) as browser:
        bound = browser.tokens("app", scope="openid read")
        offline = browser.tokens("app", scope="openid read offline_access")
        seen = written(detent)
        detent.clock.advance(60)
        bound = detent.refreshed("app", bound["refresh_token"])
        assert slides(seen[-1]) == [], "it was used a moment ago"
        detent.clock.advance(86400)
        detent.refreshed("app", offline["refresh_token"])
        assert slides(seen[-1]) == [], "that family outlives the session"
        detent.refreshed("app", bound["refresh_token"])
        (slid,) = slides(seen[-1])
        assert slid.life.last_used_at == detent.clock.now()


@pytest.mark.quick
def test_a_family_without_a_session_slides_none(detent: Detent) -> None:
    token = detent.sign_in("app")["refresh_token"]
    seen = written(detent)
    detent.clock.advance(86400)
    detent.refreshed("app", token)
    assert [slides(changes) for changes in seen] == [[]]


def test_a_refresh_after_the_session_ended_is_refused(detent: Detent) -> None:
    with Browser(detent) as browser:
        bound = browser.tokens("app", scope="openid read")
        detent.thread.call(
            detent.house.sessions.sign_out(detent.user("test").subject, detent.clock.now(), by="operator")
        )
    assert_refused(detent.refresh("app", bound["refresh_token"]))


def test_a_refresh_after_the_idle_life_of_its_session_is_refused(detent: Detent) -> None:
    """The family's own idle life is longer."""
    with Browser(detent) as browser:
        bound = browser.tokens("app", scope="openid read")
    detent.clock.advance(3 * 86400)
    assert_refused(detent.refresh("app", bound["refresh_token"]))


@pytest.mark.quick
def test_a_jwt_refresh_token_goes_to_the_strategy_that_made_it_and_ours_never_does(detent: Detent) -> None:
    app = App(detent, "allowlist")
    tokens = app.sign_in()
    again = app.refreshed(tokens)
    assert counted(detent) == {("redeemed", ""): 1}
    assert not again["refresh_token"].startswith(REFRESH_PREFIX)
    own = detent.refreshed("testclient", detent.sign_in()["refresh_token"])
    assert own["refresh_token"].startswith(REFRESH_PREFIX)


def counted(detent: Detent) -> dict[tuple[str, str], int]:
    """How many refreshes ended how, and why, as a scrape tells it."""
    page, _ = detent.thread.call(detent.house.outside.metrics.page("text/plain"))
    found = re.findall(r'^detent_refreshes_total\{outcome="(\w+)",reason="(.*)"\} (\d+)', page.decode(), re.M)
    return {(outcome, reason): int(count) for outcome, reason, count in found}


@pytest.mark.quick
def test_m11_a_refresh_is_counted_once_by_what_became_of_it(detent: Detent) -> None:
    mine = detent.sign_in()["refresh_token"]
    detent.refreshed("testclient", mine)
    assert counted(detent) == {("rotate", ""): 1}
    assert_refused(detent.refresh("testclient", mine))
    assert_refused(detent.refresh("testclient", "garbage"))
    assert_refused(detent.refresh("testclient", mine))
    outcomes = sorted((outcome, bool(reason)) for outcome, reason in counted(detent))
    assert outcomes == [("refused", True), ("refused", True), ("reuse", True), ("rotate", False)]
    assert counted(detent)["refused", "not_ours"] == 1


@pytest.mark.quick
def test_the_last_generation_is_never_handed_out(detent: Detent) -> None:
    first = detent.sign_in()["refresh_token"]
    row_becomes(detent, first, "testclient", generation=MAX_GENERATION - 1)
    last = msgspec.structs.replace(detent.family(first), generation=MAX_GENERATION - 1)
    assert_refused(detent.refresh("testclient", detent.house.handles.refresh_token(last)))
    assert detent.family(first).generation == MAX_GENERATION - 1


async def never(key: FamilyKey, version: int) -> None:
    raise StoreUnavailable("no standby confirms")


@pytest.mark.quick
def test_attack_f9_an_answer_that_writes_nothing_is_not_given_before_the_store_confirms_what_it_tells(
    detent: Detent, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = detent.sign_in("app")["refresh_token"]
    with monkeypatch.context() as standbys:
        standbys.setattr(detent.store, "confirm", never)
        successor = detent.refreshed("app", first)["refresh_token"]
        assert detent.refreshed("app", first)["refresh_token"] == successor, "it writes, and so waits by itself"
        assert_refused(detent.refresh("app", first), "temporarily_unavailable", 503)
    assert detent.refreshed("app", first)["refresh_token"] == successor


def test_attack_f9_a_proof_that_is_written_does_not_stand_for_the_family_that_is_not(
    detent: Detent, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = Holder(detent)
    first = holder.sign_in("app")["refresh_token"]
    successor = holder.refresh("app", first).json()["refresh_token"]
    assert holder.refresh("app", first).json()["refresh_token"] == successor, "it is noted that it was repeated"
    with monkeypatch.context() as standbys:
        standbys.setattr(detent.store, "confirm", never)
        assert_refused(holder.refresh("app", first), "temporarily_unavailable", 503)
    assert holder.refresh("app", first).json()["refresh_token"] == successor


def test_attack_f9_what_the_store_does_not_confirm_is_decided_anew(
    detent: Detent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another primary may answer than the one that was read, and know nothing of what is to be repeated."""
    first = detent.sign_in("app")["refresh_token"]
    successor = detent.refreshed("app", first)["refresh_token"]
    detent.refreshed("app", first)
    asked: list[tuple[FamilyKey, int]] = []

    async def once(key: FamilyKey, version: int) -> None:
        asked.append((key, version))
        if len(asked) == 1:
            raise Conflict

    monkeypatch.setattr(detent.store, "confirm", once)
    assert detent.refreshed("app", first)["refresh_token"] == successor
    family = detent.family(first, "app")
    assert asked == [(family.key, family.version)] * 2
